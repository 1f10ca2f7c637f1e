//! A small MCP server on the Rust SDK, in both eras at /mcp: `everything PORT`.
//!
//! It has each kind of thing that a gateway reads or passes: tools that answer in text, a picture, structured content and
//! an error, one that reports progress, prompts, resources, a template and completions.

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    handler::server::{
        router::{prompt::PromptRouter, tool::ToolRouter},
        wrapper::{Json, Parameters},
    },
    model::{
        CallToolResult, CompleteRequestParams, CompleteResult, CompletionInfo, ContentBlock,
        ListResourceTemplatesResult, ListResourcesResult, PaginatedRequestParams, ProgressNotificationParam,
        PromptMessage, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, Resource,
        ResourceContents, ResourceTemplate, Role, ServerCapabilities, ServerConfig,
    },
    prompt, prompt_handler, prompt_router, schemars,
    service::RequestContext,
    tool, tool_handler, tool_router,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
    },
};

const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC";
const STATIC: &str = "test://static-text";
const SECRET: &str = "test://secret-text";

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Message {
    message: String,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Pair {
    a: i32,
    b: i32,
}

#[derive(serde::Serialize, schemars::JsonSchema)]
struct Sum {
    sum: i32,
}

#[derive(Clone)]
struct Everything {
    tool_router: ToolRouter<Self>,
    prompt_router: PromptRouter<Self>,
}

#[tool_router]
impl Everything {
    #[tool(description = "Says what it is told")]
    fn echo(&self, Parameters(asked): Parameters<Message>) -> String {
        asked.message
    }

    #[tool(description = "Adds, as structured content")]
    fn add(&self, Parameters(asked): Parameters<Pair>) -> Json<Sum> {
        Json(Sum { sum: asked.a + asked.b })
    }

    #[tool(description = "Shows one picture")]
    fn image(&self) -> CallToolResult {
        CallToolResult::success(vec![ContentBlock::image(PIXEL, "image/png")])
    }

    #[tool(description = "Embeds one resource")]
    fn embedded(&self) -> CallToolResult {
        CallToolResult::success(vec![ContentBlock::embedded_text(STATIC, "embedded")])
    }

    #[tool(description = "Always fails")]
    fn fail(&self) -> CallToolResult {
        CallToolResult::error(vec![ContentBlock::text("this tool fails")])
    }

    #[tool(description = "Reports progress three times")]
    async fn progress(&self, context: RequestContext<RoleServer>) -> Result<String, ErrorData> {
        if let Some(token) = context.meta.get_progress_token() {
            for done in 1..=3 {
                let report = ProgressNotificationParam::new(token.clone(), f64::from(done)).with_total(3.0);
                let sent = context.peer.notify_progress(report).await;
                sent.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
            }
        }
        Ok("done".to_string())
    }

    #[tool(description = "What the restrictive policy forbids")]
    fn secret(&self) -> String {
        "secret".to_string()
    }
}

#[prompt_router]
impl Everything {
    #[prompt(name = "simple", description = "A prompt without arguments")]
    async fn simple(&self) -> Vec<PromptMessage> {
        vec![PromptMessage::new_text(Role::User, "A simple prompt.")]
    }

    #[prompt(name = "greet", description = "A prompt with an argument")]
    async fn greet(&self, Parameters(asked): Parameters<Message>) -> Vec<PromptMessage> {
        vec![PromptMessage::new_text(Role::User, format!("Greet {}", asked.message))]
    }

    #[prompt(name = "secret", description = "What the restrictive policy forbids")]
    async fn secret_prompt(&self) -> Vec<PromptMessage> {
        vec![PromptMessage::new_text(Role::User, "secret")]
    }
}

#[tool_handler(router = self.tool_router)]
#[prompt_handler(router = self.prompt_router)]
impl ServerHandler for Everything {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_prompts()
            .enable_resources()
            .enable_completions()
            .build();
        ServerConfig::new(capabilities).with_instructions("Everything, in Rust")
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let resources = [STATIC, SECRET].map(|uri| Resource::new(uri, uri).with_mime_type("text/plain"));
        Ok(ListResourcesResult::with_all_items(resources.to_vec()))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let template = ResourceTemplate::new("test://template/{id}/data", "template");
        Ok(ListResourceTemplatesResult::with_all_items(vec![template]))
    }

    async fn read_resource(
        &self,
        asked: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        if !asked.uri.starts_with("test://") {
            return Err(ErrorData::resource_not_found("resource not found", None));
        }
        let text = format!("The content of {}", asked.uri);
        Ok(ReadResourceResult::new(vec![ResourceContents::text(text, asked.uri)]).into())
    }

    async fn complete(
        &self,
        asked: CompleteRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let values = vec![format!("{}x", asked.argument.value)];
        let completion = CompletionInfo::new(values).map_err(|error| ErrorData::internal_error(error, None))?;
        Ok(CompleteResult::new(completion))
    }
}

#[tokio::main]
async fn main() {
    let port = std::env::args().nth(1).expect("a port");
    let make = || {
        Ok(Everything { tool_router: Everything::tool_router(), prompt_router: Everything::prompt_router() })
    };
    let service: StreamableHttpService<Everything, LocalSessionManager> =
        StreamableHttpService::new(make, Default::default(), StreamableHttpServerConfig::default());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await.expect("a free port");
    axum::serve(listener, axum::Router::new().nest_service("/mcp", service)).await.expect("serves");
}
