import io.modelcontextprotocol.client.McpClient;
import io.modelcontextprotocol.client.McpSyncClient;
import io.modelcontextprotocol.client.transport.HttpClientStreamableHttpTransport;
import io.modelcontextprotocol.spec.McpSchema;
import java.net.URI;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Collectors;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/** The Java SDK's client, as the stories of stories.py drive it; it knows one era. */
public class Client {
    private static final Duration PATIENCE = Duration.ofSeconds(20);
    private static final ObjectMapper JSON = new ObjectMapper();
    private static String version = "";

    public static void main(String[] arguments) {
        URI url = URI.create(arguments[0]);
        Map<String, List<String>> told = new LinkedHashMap<>();
        for (Map.Entry<String, JsonNode> story : JSON.readTree(arguments[2]).properties()) {
            Map<String, String> headers = new LinkedHashMap<>();
            headers.put("authorization", "Bearer " + System.getenv("TOKEN"));
            story.getValue().get("headers").properties().forEach(h -> headers.put(h.getKey(), h.getValue().asString()));
            told.put(story.getKey(), play(url, headers, story.getValue().get("steps")));
        }
        System.out.print(JSON.writeValueAsString(Map.of("version", version, "stories", told)));
        System.exit(0);
    }

    private static McpSyncClient connect(URI url, Map<String, String> headers) {
        var transport = HttpClientStreamableHttpTransport.builder(url.resolve("/").toString())
                .endpoint(url.getPath())
                .httpRequestCustomizer((request, method, uri, body, context) -> headers.forEach(request::setHeader))
                .build();
        McpSyncClient client = McpClient.sync(transport).requestTimeout(PATIENCE).build();
        version = client.initialize().protocolVersion();
        return client;
    }

    private static List<String> play(URI url, Map<String, String> headers, JsonNode steps) {
        List<String> outcomes = new ArrayList<>();
        try (McpSyncClient client = connect(url, headers)) {
            for (JsonNode step : steps) {
                switch (step.get("do").asString()) {
                    case "list" -> outcomes.add(list(client));
                    case "call" -> outcomes.addAll(together(client, step.get("tools")));
                    default -> outcomes.add(on(client));
                }
            }
        } catch (RuntimeException error) {
            outcomes.add("ended: " + words(error));
            outcomes.add(again(url, headers));
        }
        return outcomes;
    }

    private static String again(URI url, Map<String, String> headers) {
        try (McpSyncClient client = connect(url, headers)) {
            return on(client) + ", connected again";
        } catch (RuntimeException error) {
            return "raised: " + words(error);
        }
    }

    private static String list(McpSyncClient client) {
        try {
            return "result: " + client.listTools().tools().stream().map(McpSchema.Tool::name).sorted()
                    .collect(Collectors.joining(", "));
        } catch (RuntimeException error) {
            return "raised: " + words(error);
        }
    }

    private static List<String> together(McpSyncClient client, JsonNode tools) {
        List<CompletableFuture<String>> calls = new ArrayList<>();
        for (JsonNode tool : tools) {
            calls.add(CompletableFuture.supplyAsync(() -> call(client, tool.get(0).asString(), tool.get(1))));
        }
        return calls.stream().map(CompletableFuture::join).toList();
    }

    private static String call(McpSyncClient client, String tool, JsonNode arguments) {
        try {
            @SuppressWarnings("unchecked")
            Map<String, Object> given = JSON.convertValue(arguments, Map.class);
            McpSchema.CallToolResult result = client.callTool(new McpSchema.CallToolRequest(tool, given));
            String kind = Boolean.TRUE.equals(result.isError()) ? "refused" : "result";
            return kind + ": " + ((McpSchema.TextContent) result.content().get(0)).text();
        } catch (RuntimeException error) {
            return "raised: " + words(error);
        }
    }

    private static String on(McpSyncClient client) {
        String answer = call(client, "echo", JSON.createObjectNode().put("message", "still here"));
        if (!answer.contains("still here")) {
            throw new IllegalStateException(answer);
        }
        return "on";
    }

    private static String words(Throwable error) {
        return error.getClass().getSimpleName() + ": " + error.getMessage();
    }
}
