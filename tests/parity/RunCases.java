import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;

/**
 * Runs the scripts of cases on Flink and keeps what their sinks hold: RunCases CASES NAME…
 * The same for scripts that were not tried before, all of whose rows go to a table "o": RunCases --first CASES NAME…
 * A case gets a file "columns" with the names and types of that table, or "refused" with what Flink says.
 * Or runs one script as it is: RunCases --script FILE
 */
public final class RunCases {
  private static final Pattern SET = Pattern.compile("(?is)SET\\s+'([^']*)'\\s*=\\s*'([^']*)'");

  public static void main(String[] args) throws Exception {
    if (args[0].equals("--script")) {
      execute(Files.readString(Path.of(args[1])));
      return;
    }
    boolean first = args[0].equals("--first");
    int cases = first ? 1 : 0;
    for (int i = cases + 1; i < args.length; i++) {
      Path directory = Path.of(args[cases], args[i]);
      try {
        TableEnvironment tables = run(directory);
        if (first) {
          Files.write(directory.resolve("columns"), columns(tables));
        }
      } catch (Exception | Error e) {
        if (!first) {
          throw e;
        }
        Files.writeString(directory.resolve("refused"), rootMessage(e));
      }
      System.out.println(args[i]);
    }
  }

  private static List<String> columns(TableEnvironment tables) {
    return tables.from("o").getResolvedSchema().getColumns().stream()
        .map(column -> column.getName() + "\t" + column.getDataType().getLogicalType().copy(true).asSummaryString())
        .toList();
  }

  private static String rootMessage(Throwable e) {
    return e.getCause() == null ? String.valueOf(e.getMessage()) : rootMessage(e.getCause());
  }

  private static TableEnvironment run(Path directory) throws Exception {
    Path work = Files.createTempDirectory("streamer-case");
    if (Files.isDirectory(directory.resolve("input"))) {
      copy(directory.resolve("input"), work.resolve("input"));
    }
    TableEnvironment tables = execute(Files.readString(directory.resolve("query.sql")).replace("{{dir}}", work.toString()));
    keep(work.resolve("out"), directory.resolve("expected"));
    return tables;
  }

  private static TableEnvironment execute(String script) throws Exception {
    Configuration configuration = new Configuration();
    configuration.setString("execution.target", "local");
    configuration.setString("rest.port", "0");
    configuration.setString("parallelism.default", "1");
    // A job that fails tells why, instead of starting again and again.
    configuration.setString("restart-strategy.type", "disable");
    // In memory, the default, a checkpoint has 5 MB at most.
    configuration.setString("execution.checkpointing.storage", "filesystem");
    configuration.setString("execution.checkpointing.dir", Files.createTempDirectory("checkpoints").toUri().toString());
    TableEnvironment tables =
        TableEnvironment.create(
            EnvironmentSettings.newInstance().inStreamingMode().withConfiguration(configuration).build());
    for (String statement : statements(script)) {
      Matcher set = SET.matcher(statement);
      if (set.matches()) {
        tables.getConfig().set(set.group(1), set.group(2));
      } else {
        tables.executeSql(statement).await();
      }
    }
    return tables;
  }

  /** Statements of a script; those between BEGIN and END are one. Comments are lines of their own here. */
  private static List<String> statements(String script) {
    List<String> statements = new ArrayList<>();
    StringBuilder statement = new StringBuilder();
    boolean set = false;
    for (String line : script.split("\n")) {
      if (line.startsWith("--")) {
        continue;
      }
      set |= line.startsWith("EXECUTE STATEMENT SET");
      statement.append(line).append('\n');
      if (line.endsWith(";") && (!set || line.equals("END;"))) {
        String text = statement.toString().strip();
        statements.add(text.substring(0, text.length() - 1));
        statement.setLength(0);
        set = false;
      }
    }
    return statements;
  }

  /** One file per table, its rows sorted by text. */
  private static void keep(Path out, Path expected) throws IOException {
    Files.createDirectories(expected);
    if (!Files.exists(out)) {
      return;
    }
    try (Stream<Path> tables = Files.list(out)) {
      for (Path table : tables.sorted().toList()) {
        List<String> rows = new ArrayList<>();
        try (Stream<Path> files = Files.walk(table)) {
          for (Path file : files.filter(RunCases::isVisible).toList()) {
            for (String line : Files.readAllLines(file)) {
              rows.add(row(line, table.relativize(file).getParent()));
            }
          }
        }
        rows.sort(null);
        Files.writeString(
            expected.resolve(table.getFileName() + ".jsonl"),
            String.join("\n", rows) + (rows.isEmpty() ? "" : "\n"));
      }
    }
  }

  /** A row of a json sink, with its partition; a line of a csv sink as a row with the column "line". */
  private static String row(String line, Path partition) {
    if (!line.startsWith("{")) {
      return "{\"line\":\"" + line.replace("\\", "\\\\").replace("\"", "\\\"").replace("\t", "\\t") + "\"}";
    }
    return partition == null ? line : line.replaceFirst("}$", ",\"__partition__\":\"" + partition + "\"}");
  }

  private static boolean isVisible(Path file) {
    String name = file.getFileName().toString();
    return Files.isRegularFile(file) && !name.startsWith(".") && !name.startsWith("_");
  }

  private static void copy(Path from, Path to) throws IOException {
    try (Stream<Path> all = Files.walk(from)) {
      for (Path path : all.toList()) {
        Files.copy(path, to.resolve(from.relativize(path).toString()));
      }
    }
  }
}
