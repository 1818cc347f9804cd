// Makes the golden files beside it from the real classes of Kafka Connect. It keeps the first column
// (the input, a JSON string) and rewrites the second (schema or "!!") and third (value or message):
//
//   java -cp 'kafka-4.3.1/libs/*' Golden.java headers < header_values.tsv > new.tsv
//   java -cp 'kafka-4.3.1/libs/*' Golden.java json < json_read.tsv > new.tsv

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.*;
import java.nio.charset.StandardCharsets;
import java.util.*;
import org.apache.kafka.connect.data.*;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.storage.SimpleHeaderConverter;

public class Golden {
  static String schema(Schema s) {
    if (s == null) return "-";
    String r = s.type().getName();
    if (s.name() != null) r += ":" + s.name().replace("org.apache.kafka.connect.data.", "");
    if (s.parameters() != null) r += s.parameters();
    if (s.type() == Schema.Type.ARRAY) r += "<" + schema(s.valueSchema()) + ">";
    if (s.type() == Schema.Type.MAP) r += "<" + schema(s.keySchema()) + "," + schema(s.valueSchema()) + ">";
    if (s.type() == Schema.Type.STRUCT) {
      StringJoiner fields = new StringJoiner(",", "<", ">");
      for (Field f : s.fields()) fields.add(f.name() + " " + schema(f.schema()));
      r += fields;
    }
    return r + (s.isOptional() ? "?" : "");
  }

  static Object plain(Schema s, Object o) {
    if (o instanceof java.util.Date d) {
      boolean day = s != null && org.apache.kafka.connect.data.Date.LOGICAL_NAME.equals(s.name());
      return day ? d.getTime() / 86400000L : d.getTime();
    }
    if (o instanceof java.math.BigDecimal d) return "decimal " + d;
    if (o instanceof byte[] b) return "bytes " + HexFormat.of().formatHex(b);
    if (o instanceof Double d && !Double.isFinite(d)) return "float " + d;
    if (o instanceof Float f && !Float.isFinite(f)) return "float " + f;
    if (o instanceof Struct t) {
      Map<String, Object> m = new LinkedHashMap<>();
      for (Field f : t.schema().fields()) m.put(f.name(), plain(f.schema(), t.getWithoutDefault(f.name())));
      return m;
    }
    if (o instanceof List<?> l) {
      List<Object> r = new ArrayList<>();
      for (Object e : l) r.add(plain(s == null ? null : s.valueSchema(), e));
      return r;
    }
    if (o instanceof Map<?, ?> m) {
      List<Object> r = new ArrayList<>();
      for (Map.Entry<?, ?> e : m.entrySet())
        r.add(List.of(Optional.ofNullable(plain(s == null ? null : s.keySchema(), e.getKey())),
            Optional.ofNullable(plain(s == null ? null : s.valueSchema(), e.getValue()))));
      return Map.of("map", r.stream().map(p -> ((List<?>) p).stream().map(x -> ((Optional<?>) x).orElse(null)).toList()).toList());
    }
    return o;
  }

  public static void main(String[] args) throws Exception {
    ObjectMapper mapper = new ObjectMapper();
    SimpleHeaderConverter headers = new SimpleHeaderConverter();
    headers.configure(Map.of());
    JsonConverter json = new JsonConverter();
    json.configure(Map.of("converter.type", "value"), false);
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    for (String line; (line = in.readLine()) != null; ) {
      String input = line.split("\t")[0];
      byte[] bytes = mapper.readValue(input, String.class).getBytes(StandardCharsets.UTF_8);
      try {
        SchemaAndValue v = args[0].equals("json") ? json.toConnectData("t", bytes) : headers.toConnectHeader("t", "h", bytes);
        out.println(input + "\t" + schema(v.schema()) + "\t" + mapper.writeValueAsString(plain(v.schema(), v.value())));
      } catch (Exception e) {
        out.println(input + "\t!!\t" + mapper.writeValueAsString(String.valueOf(e.getMessage()).lines().findFirst().orElse("")));
      }
    }
  }
}
