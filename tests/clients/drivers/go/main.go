// The Go SDK's client, as the stories of stories.py drive it; its era is the version that it asks for.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const patience = 20 * time.Second

type step struct {
	Do    string
	Tools [][2]json.RawMessage
}

type story struct {
	Headers map[string]string
	Steps   []step
}

type told struct {
	Version string              `json:"version"`
	Stories map[string][]string `json:"stories"`
}

type withHeaders map[string]string

func (headers withHeaders) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	return http.DefaultTransport.RoundTrip(request)
}

func connect(headers map[string]string) (*mcp.ClientSession, error) {
	client := mcp.NewClient(&mcp.Implementation{Name: "tests", Version: "1"}, nil)
	transport := &mcp.StreamableClientTransport{
		Endpoint:   os.Args[1],
		HTTPClient: &http.Client{Transport: withHeaders(headers)},
	}
	return client.Connect(context.Background(), transport, &mcp.ClientSessionOptions{ProtocolVersion: os.Args[2]})
}

func list(session *mcp.ClientSession) string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	result, err := session.ListTools(ctx, nil)
	if err != nil {
		return fmt.Sprintf("raised: %v", err)
	}
	names := []string{}
	for _, tool := range result.Tools {
		names = append(names, tool.Name)
	}
	sort.Strings(names)
	return "result: " + strings.Join(names, ", ")
}

func call(session *mcp.ClientSession, tool [2]json.RawMessage) string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	params := &mcp.CallToolParams{Arguments: tool[1]}
	if err := json.Unmarshal(tool[0], &params.Name); err != nil {
		panic(err)
	}
	result, err := session.CallTool(ctx, params)
	if err != nil {
		return fmt.Sprintf("raised: %v", err)
	}
	kind := "result"
	if result.IsError {
		kind = "refused"
	}
	return fmt.Sprintf("%s: %s", kind, result.Content[0].(*mcp.TextContent).Text)
}

func together(session *mcp.ClientSession, tools [][2]json.RawMessage) []string {
	outcomes := make([]string, len(tools))
	var all sync.WaitGroup
	for at, tool := range tools {
		all.Go(func() { outcomes[at] = call(session, tool) })
	}
	all.Wait()
	return outcomes
}

// on gives "" when the connection lives, and else what it said.
func on(session *mcp.ClientSession) string {
	tool := [2]json.RawMessage{json.RawMessage(`"echo"`), json.RawMessage(`{"message": "still here"}`)}
	if answer := call(session, tool); !strings.Contains(answer, "still here") {
		return answer
	}
	return ""
}

func again(headers map[string]string) string {
	session, err := connect(headers)
	if err != nil {
		return fmt.Sprintf("raised: %v", err)
	}
	defer session.Close()
	if answer := on(session); answer != "" {
		return answer
	}
	return "on, connected again"
}

func play(asked story, out *told) []string {
	session, err := connect(asked.Headers)
	if err != nil {
		return []string{fmt.Sprintf("ended: %v", err), again(asked.Headers)}
	}
	defer session.Close()
	out.Version = session.InitializeResult().ProtocolVersion
	outcomes := []string{}
	for _, step := range asked.Steps {
		switch step.Do {
		case "list":
			outcomes = append(outcomes, list(session))
		case "call":
			outcomes = append(outcomes, together(session, step.Tools)...)
		default:
			if answer := on(session); answer != "" {
				return append(outcomes, "ended: "+answer, again(asked.Headers))
			}
			outcomes = append(outcomes, "on")
		}
	}
	return outcomes
}

func main() {
	stories := map[string]story{}
	if err := json.Unmarshal([]byte(os.Args[3]), &stories); err != nil {
		panic(err)
	}
	out := told{Stories: map[string][]string{}}
	for name, asked := range stories {
		if asked.Headers == nil {
			asked.Headers = map[string]string{}
		}
		asked.Headers["authorization"] = "Bearer " + os.Getenv("TOKEN")
		out.Stories[name] = play(asked, &out)
	}
	json.NewEncoder(os.Stdout).Encode(out)
}
