import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.connect.runtime.SinkConnectorConfig;
import org.apache.kafka.connect.runtime.SourceConnectorConfig;

/**
 * Prints how Kafka Connect declares the keys that every connector has, as in connector_keys.tsv.
 *
 * <p>java -cp 'kafka-libs/*' ConnectorKeys.java > connector_keys.tsv
 */
public class ConnectorKeys {
  public static void main(String[] args) {
    Map<String, ConfigDef> definitions = new TreeMap<>();
    definitions.put("source", SourceConnectorConfig.configDef());
    definitions.put("sink", SinkConnectorConfig.configDef());
    System.out.println(
        String.join("\t", "of", "name", "type", "default", "importance", "group", "order", "width", "display"));
    definitions.forEach(
        (of, definition) ->
            definition.configKeys().values().forEach(key -> System.out.println(row(of, key))));
  }

  private static String row(String of, ConfigDef.ConfigKey key) {
    String value = key.hasDefault() ? String.valueOf(key.defaultValue) : "REQUIRED";
    return String.join(
        "\t",
        of,
        key.name,
        key.type.name(),
        value,
        key.importance.name(),
        key.group,
        String.valueOf(key.orderInGroup),
        key.width.name(),
        key.displayName);
  }
}
