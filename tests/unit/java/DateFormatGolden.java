import java.nio.charset.StandardCharsets;
import java.text.SimpleDateFormat;
import java.util.Date;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.TimeZone;

/** Prints pattern, epoch ms and SimpleDateFormat's text, tab-separated: java DateFormatGolden.java ROWS SEED */
public class DateFormatGolden {
    static final long DAY = 86_400_000L;
    static final String LETTERS = "GyYMLwWDdFEuaHkKhmsSzZX";
    static final List<String> PATTERNS = List.of(
        "yyyyMMdd", "YYYYMM", "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", "yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
        "EEE, d MMM yyyy HH:mm:ss Z", "YYYY-'W'ww-u", "hh 'o''clock' a, zzzz", "yyyy.MM.dd G 'at' HH:mm:ss z",
        "yyMMddHH", "D W F", "''yy''", "dd/MM/yyyy KK:mm a", "é yyyy_MM");

    static String pattern(Random random) {
        if (random.nextInt(3) > 0) return PATTERNS.get(random.nextInt(PATTERNS.size()));
        char letter = LETTERS.charAt(random.nextInt(LETTERS.length()));
        return String.valueOf(letter).repeat(1 + random.nextInt(letter == 'X' ? 3 : 5));
    }

    static long instant(Random random) {
        switch (random.nextInt(6)) {
            case 0: // about a new year, where week years and calendar years part
                return (long) ((random.nextInt(400) - 70) * 365.2425) * DAY + (random.nextInt(21) - 10) * DAY;
            case 1: // any era
                return (long) ((random.nextDouble() - 0.6) * 200_000L * 365 * DAY);
            case 2: // about the change to the Gregorian calendar in October 1582
                return -12_219_292_800_000L + (long) ((random.nextDouble() - 0.5) * 800 * DAY);
            case 3: // the first centuries, either side of year 1
                return -62_135_769_600_000L + (long) ((random.nextDouble() - 0.5) * 2_000 * DAY);
            default: // our times
                return (long) (random.nextDouble() * 140 * 365.2425 * DAY);
        }
    }

    public static void main(String[] args) {
        Locale.setDefault(Locale.US);
        Random random = new Random(Long.parseLong(args[1]));
        StringBuilder out = new StringBuilder();
        for (int row = 0; row < Integer.parseInt(args[0]); row++) {
            String pattern = pattern(random);
            long instant = instant(random);
            // Before year 1 the JVM's week year and week contradict each other: see date_format.py.
            if (pattern.indexOf('Y') >= 0 && instant < -62_104_147_200_000L) instant = -instant;
            SimpleDateFormat format = new SimpleDateFormat(pattern);
            format.setTimeZone(TimeZone.getTimeZone("UTC"));
            out.append(pattern).append('\t').append(instant).append('\t').append(format.format(new Date(instant))).append('\n');
        }
        System.out.writeBytes(out.toString().getBytes(StandardCharsets.UTF_8));
    }
}
