package filter_test

import (
	"strings"
	"testing"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/filter"
	"github.com/sluicegateway/sluice/proxy/message"
)

// request makes a request from "METHOD http://host/path?query" and "Name: value" lines.
func request(line string, fields ...string) *message.Request {
	method, url, _ := strings.Cut(line, " ")
	scheme, rest, _ := strings.Cut(url, "://")
	r := &message.Request{Method: method, Scheme: scheme}
	i := strings.IndexAny(rest, "/*")
	r.Authority = rest[:i]
	r.Path, r.Query, r.HasQuery = strings.Cut(rest[i:], "?")
	addFields(&r.Header, fields)
	return r
}

func response(status int, fields ...string) *message.Response {
	r := &message.Response{Status: status}
	addFields(&r.Header, fields)
	return r
}

func addFields(h *message.Header, fields []string) {
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		h.Add(name, value)
	}
}

// fieldLines is a header in lines, as it would be sent.
func fieldLines(h *message.Header) string {
	var b strings.Builder
	for _, f := range h.Fields {
		b.WriteString(f.Name + ": " + f.Value + "\n")
	}
	return b.String()
}

// begin starts an exchange on a listener of the request's scheme at its usual port.
func begin(r *message.Request, prefix string) *filter.Exchange {
	port := uint16(80)
	if r.Scheme == "https" {
		port = 443
	}
	x := new(filter.Exchange)
	x.Begin(r, r.Scheme, port, prefix)
	return x
}

func TestNothingToDo(t *testing.T) {
	chain := filter.Compile(&config.Filters{Mirrors: []config.Mirror{{Backend: "b"}}})
	if chain != nil {
		t.Fatalf("compiled to %+v", chain)
	}
	x := begin(request("GET http://a.example/"), "/")
	r := response(200)
	if chain.Request(x) != nil {
		t.Error("nothing answers")
	}
	chain.Response(x, r)
	if got := fieldLines(&r.Header); got != "" {
		t.Errorf("fields: %s", got)
	}
}

// A preflight is answered before a redirect, a redirect is made of what the
// client asked for, and the answers go through the response's filters.
func TestOrder(t *testing.T) {
	chain := filter.Compile(&config.Filters{
		CORS:            &config.CORS{AllowOrigins: []string{"*"}},
		Redirect:        &config.Redirect{Scheme: "https", Status: 301},
		RequestHeaders:  &config.HeaderModifier{Set: []config.Header{{Name: "Host", Value: "changed.example"}}},
		ResponseHeaders: &config.HeaderModifier{Add: []config.Header{{Name: "Seen", Value: "yes"}}, Remove: []string{"Access-Control-Allow-Origin"}},
	})
	preflight := begin(request("OPTIONS http://a.example/x", "Origin: https://web.example", "Access-Control-Request-Method: PUT"), "/")
	if r := chain.Request(preflight); r == nil || r.Status != 204 || r.Header.Get("Seen") != "yes" || r.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("preflight: %+v", r)
	}
	x := begin(request("GET http://a.example/x", "Origin: https://web.example"), "/")
	r := chain.Request(x)
	want := "Seen: yes\nAccess-Control-Allow-Origin: *\nLocation: https://a.example/x\n"
	if r == nil || r.Status != 301 || fieldLines(&r.Header) != want {
		t.Errorf("redirect: %+v", r)
	}
}

// The rewrite of a backendRef takes the place of its rule's, and its CORS filter
// sees the origin that the client sent. The rule's chain has the last word.
func TestChainsOfRuleAndBackend(t *testing.T) {
	rule := filter.Compile(&config.Filters{
		RequestHeaders: &config.HeaderModifier{Add: []config.Header{{Name: "By", Value: "rule"}}, Remove: []string{"Origin"}},
		Rewrite:        &config.Rewrite{Hostname: "rule.example", Path: &config.PathModifier{Prefix: true, Replacement: "/rule"}},
		CORS:           &config.CORS{AllowOrigins: []string{"https://web.example"}},
	})
	backend := filter.Compile(&config.Filters{
		RequestHeaders: &config.HeaderModifier{Add: []config.Header{{Name: "By", Value: "backend"}}},
		Rewrite:        &config.Rewrite{Path: &config.PathModifier{Prefix: true, Replacement: "/backend"}},
		CORS:           &config.CORS{AllowOrigins: []string{"*"}, AllowCredentials: true},
	})
	req := request("GET http://a.example/api/x", "Origin: https://web.example")
	x := begin(req, "/api")
	if rule.Request(x) != nil || backend.Request(x) != nil {
		t.Fatal("nothing answers")
	}
	if req.Authority != "rule.example" || req.Path != "/backend/x" {
		t.Errorf("forwards to %s%s", req.Authority, req.Path)
	}
	if got, _ := req.Header.Joined("By"); got != "rule, backend" {
		t.Errorf("By: %s", got)
	}
	resp := response(200)
	backend.Response(x, resp)
	if got := resp.Header.Get("Access-Control-Allow-Credentials"); got != "true" {
		t.Errorf("the backendRef's CORS filter allows credentials: %q", got)
	}
	rule.Response(x, resp)
	if got, want := fieldLines(&resp.Header), "Vary: Origin\nAccess-Control-Allow-Origin: https://web.example\n"; got != want {
		t.Errorf("response:\n%s", got)
	}
}

// An exchange is used again and remembers nothing.
func TestExchangeIsReused(t *testing.T) {
	cors := filter.Compile(&config.Filters{CORS: &config.CORS{AllowOrigins: []string{"*"}, AllowCredentials: true}})
	x := begin(request("OPTIONS http://a.example/", "Origin: https://web.example", "Access-Control-Request-Method: PUT"), "")
	cors.Request(x)
	x.Begin(request("OPTIONS http://a.example/"), "http", 80, "")
	if r := cors.Request(x); r != nil {
		t.Errorf("the last request's preflight is answered: %+v", r)
	}
	r := response(200)
	if cors.Response(x, r); r.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("the last request's origin is allowed")
	}
}

func BenchmarkChain(b *testing.B) {
	headers := &config.HeaderModifier{Set: []config.Header{{Name: "X-Env", Value: "prod"}}, Remove: []string{"X-Internal"}}
	chain := filter.Compile(&config.Filters{
		RequestHeaders:  headers,
		ResponseHeaders: headers,
		Rewrite:         &config.Rewrite{Hostname: "b.example", Path: &config.PathModifier{Prefix: true}},
		CORS:            &config.CORS{AllowOrigins: []string{"https://*.example"}, AllowCredentials: true},
	})
	req := request("GET http://a.example/api/x", "Origin: https://web.example", "X-Internal: 1", "Accept: */*")
	fields := append([]message.Field(nil), req.Header.Fields...)
	var x filter.Exchange
	var resp message.Response
	b.ReportAllocs()
	for b.Loop() {
		req.Authority, req.Path, req.Header.Fields = "a.example", "/api/x", append(req.Header.Fields[:0], fields...)
		resp.Reset()
		x.Begin(req, "http", 80, "/api")
		chain.Request(&x)
		chain.Response(&x, &resp)
	}
}
