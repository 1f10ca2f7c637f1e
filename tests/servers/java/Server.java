import io.modelcontextprotocol.server.McpServer;
import io.modelcontextprotocol.server.McpServerFeatures;
import io.modelcontextprotocol.server.McpSyncServerExchange;
import io.modelcontextprotocol.server.transport.HttpServletStreamableServerTransportProvider;
import io.modelcontextprotocol.spec.McpSchema;
import io.modelcontextprotocol.spec.McpSchema.CallToolRequest;
import io.modelcontextprotocol.spec.McpSchema.CallToolResult;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.Map;
import java.util.function.BiFunction;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;

/**
 * A small MCP server on the Java SDK, at /mcp: Server PORT.
 *
 * It has each kind of thing that a gateway reads or passes: tools that answer in text, a picture, structured content and
 * an error, one that reports progress, one that logs, prompts, resources, a template and completions.
 */
public class Server {
    private static final String PIXEL =
            "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC";
    private static final String STATIC = "test://static-text";
    private static final String SECRET = "test://secret-text";
    private static final String TEMPLATE = "test://template/{id}/data";

    private interface Handler extends BiFunction<McpSyncServerExchange, CallToolRequest, CallToolResult> {}

    public static void main(String[] arguments) throws Exception {
        var transport = HttpServletStreamableServerTransportProvider.builder().mcpEndpoint("/mcp").build();
        McpServer.sync(transport)
                .serverInfo("everything", "1")
                .instructions("Everything, in Java")
                .capabilities(McpSchema.ServerCapabilities.builder()
                        .tools(true).prompts(true).resources(true, true).completions().logging().build())
                .tools(
                        tool("echo", "Says what it is told", strings("message"), (exchange, asked) -> text(asked.arguments().get("message"))),
                        tool("structured", "Answers with structured content", strings("message"), (exchange, asked) ->
                                CallToolResult.builder().addTextContent("structured").structuredContent(asked.arguments()).build()),
                        tool("image", "Shows one picture", strings(), (exchange, asked) ->
                                CallToolResult.builder().addContent(new McpSchema.ImageContent(null, PIXEL, "image/png")).build()),
                        tool("embedded", "Embeds one resource", strings(), (exchange, asked) ->
                                CallToolResult.builder().addContent(new McpSchema.EmbeddedResource(null,
                                        new McpSchema.TextResourceContents(STATIC, "text/plain", "embedded"))).build()),
                        tool("fail", "Always fails", strings(), (exchange, asked) ->
                                CallToolResult.builder().addTextContent("this tool fails").isError(true).build()),
                        tool("progress", "Reports progress three times", strings(), Server::progress),
                        tool("log", "Logs once", strings(), Server::log),
                        tool("secret", "What the restrictive policy forbids", strings(), (exchange, asked) -> text("secret")))
                .prompts(
                        prompt("simple", "A prompt without arguments", List.of()),
                        prompt("greet", "A prompt with an argument", List.of(new McpSchema.PromptArgument("message", "whom", true))),
                        prompt("secret", "What the restrictive policy forbids", List.of()))
                .resources(resource(STATIC), resource(SECRET))
                .resourceTemplates(new McpServerFeatures.SyncResourceTemplateSpecification(
                        McpSchema.ResourceTemplate.builder(TEMPLATE, "template").mimeType("text/plain").build(),
                        (exchange, asked) -> read(asked.uri())))
                .completions(new McpServerFeatures.SyncCompletionSpecification(new McpSchema.PromptReference("greet"),
                        (exchange, asked) -> new McpSchema.CompleteResult(new McpSchema.CompleteResult.CompleteCompletion(
                                List.of(asked.argument().value() + "x"), 1, false))))
                .build();
        var server = new org.eclipse.jetty.server.Server(
                new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[0])));
        var context = new ServletContextHandler();
        var holder = new ServletHolder(transport);
        holder.setAsyncSupported(true);
        context.addServlet(holder, "/*");
        server.setHandler(context);
        server.start();
        server.join();
    }

    private static McpServerFeatures.SyncToolSpecification tool(
            String name, String description, Map<String, Object> schema, Handler handler) {
        var tool = McpSchema.Tool.builder(name, schema).description(description).build();
        return new McpServerFeatures.SyncToolSpecification(tool, handler);
    }

    private static Map<String, Object> strings(String... names) {
        var properties = new java.util.TreeMap<String, Object>();
        for (String name : names) {
            properties.put(name, Map.of("type", "string"));
        }
        return Map.of("type", "object", "properties", properties, "required", List.of(names));
    }

    private static CallToolResult text(Object words) {
        return CallToolResult.builder().addTextContent(String.valueOf(words)).build();
    }

    private static CallToolResult progress(McpSyncServerExchange exchange, CallToolRequest asked) {
        Object token = asked.meta() == null ? null : asked.meta().get("progressToken");
        for (int done = 1; token != null && done <= 3; done++) {
            exchange.progressNotification(new McpSchema.ProgressNotification(token, done, 3.0, "step " + done));
        }
        return text("done");
    }

    private static CallToolResult log(McpSyncServerExchange exchange, CallToolRequest asked) {
        exchange.loggingNotification(
                new McpSchema.LoggingMessageNotification(McpSchema.LoggingLevel.ERROR, "everything", "logged"));
        return text("logged");
    }

    private static McpServerFeatures.SyncPromptSpecification prompt(
            String name, String description, List<McpSchema.PromptArgument> arguments) {
        return new McpServerFeatures.SyncPromptSpecification(
                new McpSchema.Prompt(name, description, arguments), (exchange, asked) -> {
                    var words = new McpSchema.TextContent(name + " " + asked.arguments());
                    var message = new McpSchema.PromptMessage(McpSchema.Role.USER, words);
                    return new McpSchema.GetPromptResult(description, List.of(message));
                });
    }

    private static McpServerFeatures.SyncResourceSpecification resource(String uri) {
        var resource = McpSchema.Resource.builder(uri, uri).mimeType("text/plain").build();
        return new McpServerFeatures.SyncResourceSpecification(resource, (exchange, asked) -> read(asked.uri()));
    }

    private static McpSchema.ReadResourceResult read(String uri) {
        var contents = new McpSchema.TextResourceContents(uri, "text/plain", "The content of " + uri);
        return new McpSchema.ReadResourceResult(List.of(contents));
    }
}
