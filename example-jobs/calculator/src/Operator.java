import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.math.BigDecimal;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.URLDecoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.function.BinaryOperator;
import java.util.regex.Pattern;

/**
 * One operator of the calculator, add or sub, as a service. Its sums are exact,
 * its answers name the instance and the caller that the mesh has authenticated.
 *
 * <p>It is run from its source: {@code java Operator.java add}.
 */
public class Operator {
  static final Map<String, BinaryOperator<BigDecimal>> OPERATORS =
      Map.of("add", BigDecimal::add, "sub", BigDecimal::subtract);
  static final Pattern NUMBER = Pattern.compile("[+-]?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)");
  static final int LONGEST = 100; // digits of a number

  /** A mistake of whoever asks. */
  static class Mistake extends Exception {
    Mistake(String sentence) {
      super(sentence);
    }
  }

  final String name;
  final BinaryOperator<BigDecimal> operator;
  final String service;
  final String instance;
  volatile boolean ready;

  Operator(String name) {
    this.name = name;
    this.operator = OPERATORS.get(name);
    this.service = name + "-svc";
    this.instance = service + "/" + System.getenv().getOrDefault("NOMAD_SHORT_ALLOC_ID", "local");
  }

  public static void main(String[] args) throws Exception {
    if (args.length != 1 || !OPERATORS.containsKey(args[0])) {
      System.err.println("usage: java Operator.java add|sub");
      System.exit(2);
    }
    String ip = System.getenv().getOrDefault("NOMAD_IP_http", "127.0.0.1");
    int port = Integer.parseInt(System.getenv().getOrDefault("NOMAD_PORT_http", "8080"));
    new Operator(args[0]).serve(new InetSocketAddress(ip, port));
  }

  void serve(InetSocketAddress address) throws Exception {
    // Head and body of an answer are two writes: without this the second waits for the
    // acknowledgement of the first, 40 ms.
    System.setProperty("sun.net.httpserver.nodelay", "true");
    HttpServer server = HttpServer.create(address, 1024);
    server.setExecutor(Executors.newFixedThreadPool(16));
    server.createContext("/", this::answer);
    server.start();
    warmUp(address);
    ready = true; // from here on the check passes, and peers are led here
    System.out.println(instance + " listens on " + address);
  }

  /** The first requests of a JVM are slow; nobody but itself waits for them. */
  void warmUp(InetSocketAddress address) throws IOException, InterruptedException {
    HttpClient client = HttpClient.newHttpClient();
    String query = "http://" + address.getHostString() + ":" + address.getPort() + "/compute?a=0.1&b=0.2";
    for (int i = 0; i < 50; i++) {
      client.send(HttpRequest.newBuilder(URI.create(query)).build(), HttpResponse.BodyHandlers.ofString());
    }
  }

  void answer(HttpExchange exchange) throws IOException {
    try (exchange) {
      switch (exchange.getRequestURI().getPath()) {
        case "/health" -> send(exchange, ready ? 200 : 503, "{\"ready\":" + ready + "}");
        case "/compute" -> compute(exchange);
        default -> send(exchange, 404, "{\"error\":\"" + service + " has /compute?a=1&b=2 and /health only\"}");
      }
    }
  }

  void compute(HttpExchange exchange) throws IOException {
    String path = "\"path\":[{\"service\":\"" + service + "\",\"instance\":\"" + instance
        + "\",\"caller\":\"" + caller(exchange) + "\"}]}";
    try {
      Map<String, String> query = query(exchange.getRequestURI().getRawQuery());
      BigDecimal a = number(query, "a");
      BigDecimal b = number(query, "b");
      String answer = operator.apply(a, b).toPlainString();
      send(exchange, 200, "{\"operator\":\"" + name + "\",\"a\":\"" + a.toPlainString() + "\",\"b\":\"" + b.toPlainString()
          + "\",\"answer\":\"" + answer + "\"," + path);
    } catch (Mistake mistake) {
      send(exchange, 400, "{\"error\":\"" + mistake.getMessage() + "\"," + path);
    }
  }

  static BigDecimal number(Map<String, String> query, String name) throws Mistake {
    String text = query.getOrDefault(name, "").strip();
    if (text.isEmpty()) {
      throw new Mistake("Give a number as " + name + ", like 12 or -0.5.");
    }
    if (text.length() > LONGEST) {
      throw new Mistake("The number " + name + " has " + text.length() + " digits; " + LONGEST + " are the most.");
    }
    if (!NUMBER.matcher(text).matches()) {
      throw new Mistake(name + " is no number: " + quoted(text) + "; write it like 12 or -0.5.");
    }
    return new BigDecimal(text);
  }

  /** A text as it can stand in a string of JSON. */
  static String quoted(String text) {
    StringBuilder out = new StringBuilder("'");
    text.chars().forEach(c -> out.append(c < ' ' || c == '"' || c == '\\' || c > '~' ? String.format("\\u%04x", c) : (char) c));
    return out.append("'").toString();
  }

  static Map<String, String> query(String raw) throws Mistake {
    Map<String, String> query = new HashMap<>();
    for (String pair : (raw == null ? "" : raw).split("&")) {
      String[] parts = pair.split("=", 2);
      try {
        query.put(parts[0], parts.length < 2 ? "" : URLDecoder.decode(parts[1], StandardCharsets.UTF_8));
      } catch (IllegalArgumentException e) {
        throw new Mistake("The query holds a % that begins no character.");
      }
    }
    return query;
  }

  /** Who asks, as its sidecar proved to ours: the service of a SPIFFE ID. */
  static String caller(HttpExchange exchange) {
    String certificate = exchange.getRequestHeaders().getFirst("X-Forwarded-Client-Cert");
    var uri = Pattern.compile("URI=spiffe://[^;,]*/svc/([A-Za-z0-9_-]+)").matcher(certificate == null ? "" : certificate);
    return uri.find() ? uri.group(1) : "";
  }

  static void send(HttpExchange exchange, int status, String json) throws IOException {
    byte[] body = (json + "\n").getBytes(StandardCharsets.UTF_8);
    exchange.getResponseHeaders().set("Content-Type", "application/json");
    exchange.sendResponseHeaders(status, body.length);
    exchange.getResponseBody().write(body);
  }
}
