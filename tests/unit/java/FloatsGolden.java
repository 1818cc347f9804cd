import java.math.BigDecimal;
import java.math.MathContext;
import java.util.Random;

/**
 * Prints Java's texts of floats: type, bits in hexadecimal, text; tab-separated.
 *
 * <p>java FloatsGolden.java ROWS SEED
 *
 * <p>Left out are the few texts that Java before 19 writes with more digits than needed, or with
 * others than the nearest ones (JDK-4511638).
 */
public class FloatsGolden {
    static double number(Random random) {
        switch (random.nextInt(4)) {
            case 0: // few digits
                return random.nextInt(2000) * Math.pow(10, random.nextInt(30) - 15) * (random.nextBoolean() ? 1 : -1);
            case 1: // about the ends of the plain notation
                return (random.nextBoolean() ? 1e7 : 1e-3) * (1 + (random.nextDouble() - 0.5) / (1 << random.nextInt(30)));
            default: // any exponent
                return 0;
        }
    }

    static boolean shortest(BigDecimal exact, String text, java.util.function.Predicate<BigDecimal> same) {
        if (exact.signum() == 0) return true;
        BigDecimal shown = new BigDecimal(text).stripTrailingZeros();
        int digits = Math.max(2, shown.precision());
        return exact.round(new MathContext(digits)).compareTo(shown) == 0
            && (digits == 2 || !same.test(exact.round(new MathContext(digits - 1))));
    }

    public static void main(String[] args) {
        Random random = new Random(Long.parseLong(args[1]));
        double[] doubles = {0.0, -0.0, Double.MIN_VALUE, Double.MIN_NORMAL, Double.MAX_VALUE, 3 * Double.MIN_VALUE};
        float[] floats = {0f, -0f, Float.MIN_VALUE, Float.MIN_NORMAL, Float.MAX_VALUE, 3 * Float.MIN_VALUE, 5 * Float.MIN_VALUE};
        int rows = Integer.parseInt(args[0]);
        for (int row = 0; row < rows; row++) {
            double some = number(random);
            double wide = row < doubles.length ? doubles[row]
                : some != 0 ? some : Double.longBitsToDouble(random.nextLong());
            float narrow = row < floats.length ? floats[row]
                : some != 0 ? (float) some : Float.intBitsToFloat(random.nextInt());
            if (Double.isFinite(wide) && shortest(new BigDecimal(wide), Double.toString(wide), n -> n.doubleValue() == wide))
                System.out.printf("double\t%016x\t%s%n", Double.doubleToLongBits(wide), wide);
            if (Float.isFinite(narrow) && shortest(new BigDecimal(narrow), Float.toString(narrow), n -> n.floatValue() == narrow))
                System.out.printf("float\t%08x\t%s%n", Float.floatToIntBits(narrow), narrow);
        }
    }
}
