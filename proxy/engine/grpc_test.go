package engine_test

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/observe"
	"github.com/sluicegateway/sluice/proxy/engine"
)

// grpcMessage is a message of gRPC on the wire.
func grpcMessage(text string) string {
	return "\x00\x00\x00\x00" + string(byte(len(text))) + text
}

// serveGRPC leads calls to a backend that speaks gRPC.
func (g *gateway) serveGRPC(h http.HandlerFunc) {
	g.Helper()
	var origin netip.AddrPort
	if h != nil {
		origin = g.originOf(2, h)
	}
	r := route("grpcroute/default/calls", config.Rule{
		Matches:  []config.Match{{Path: config.PathMatch{Type: config.PathPrefix, Value: "/"}}},
		Backends: []config.BackendRef{{Backend: "service/default/calls:80", Weight: 1}},
	})
	r.GRPC = true
	b := backend("service/default/calls:80")
	if h != nil {
		b = backend("service/default/calls:80", origin)
	}
	g.apply(config.Delta{Reset: true, Listeners: []*config.Listener{g.listener()}, Routes: []*config.Route{r}, Backends: []*config.Backend{b}})
}

func call(contentType, body string) *http.Request {
	r := request("POST", "/shop.Cart/Get", strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	return r
}

// answer is what a client has got: the body, and the status of gRPC from the
// header or from the trailer.
func answer(t testing.TB, g *gateway, major int, r *http.Request) (resp *http.Response, body string) {
	t.Helper()
	r.URL.Host = g.addr.String()
	resp, err := g.user(major).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(all)
}

// echoCall answers a call with its message and OK, or with a status alone where
// the message asks for one.
func echoCall(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Content-Type") != "application/grpc+proto" || r.Header.Get("Te") != "trailers" {
		http.Error(w, "no call", http.StatusUnsupportedMediaType)
		return
	}
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "application/grpc+proto")
	if strings.Contains(string(body), "fail") {
		w.Header().Set("Grpc-Status", "5")
		return
	}
	w.Write(body)
	w.(http.Flusher).Flush()
	w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
	w.Header().Set(http.TrailerPrefix+"Grpc-Message", "fine")
}

func TestGRPCWeb(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.serveGRPC(echoCall)
		trailer := "\x80\x00\x00\x00\x24grpc-message: fine\r\ngrpc-status: 0\r\n"
		for _, major := range both {
			r := call("application/grpc-web+proto", grpcMessage("hello"))
			r.Header.Set("X-Grpc-Web", "1")
			resp, body := answer(t, g, major, r)
			if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/grpc-web+proto" || body != grpcMessage("hello")+trailer {
				t.Errorf("HTTP/%d: got %v, %q", major, resp, body)
			}

			text := base64.StdEncoding.EncodeToString([]byte(grpcMessage("hel"))) + base64.StdEncoding.EncodeToString([]byte("lo"))
			resp, body = answer(t, g, major, call("application/grpc-web-text+proto", text))
			plain := decodeTexts(t, body)
			if want := grpcMessage("hel") + "lo" + trailer; resp.Header.Get("Content-Type") != "application/grpc-web-text+proto" || plain != want {
				t.Errorf("HTTP/%d: got %v, %q", major, resp, body)
			}

			resp, body = answer(t, g, major, call("application/grpc-web+proto", grpcMessage("fail")))
			if resp.Header.Get("Grpc-Status") != "5" || resp.Header.Get("Content-Type") != "application/grpc-web+proto" || body != "" {
				t.Errorf("HTTP/%d: got %v, %q", major, resp, body)
			}

			resp, body = answer(t, g, major, call("application/grpc-web-text+proto", "AAAAAA"))
			if resp.Header.Get("Grpc-Status") != "13" || resp.Header.Get("Content-Type") != "application/grpc-web-text+proto" || body != "" {
				t.Errorf("HTTP/%d: a text that ends early: got %v, %q", major, resp, body)
			}
		}
	})
}

// decodeTexts reads a body that is several texts in base64, one behind another.
func decodeTexts(t *testing.T, body string) string {
	t.Helper()
	var plain strings.Builder
	for group := range strings.Lines(body) {
		for ; len(group) >= 4; group = group[4:] {
			decoded, err := base64.StdEncoding.DecodeString(group[:4])
			if err != nil {
				t.Fatalf("%q: %v", body, err)
			}
			plain.Write(decoded)
		}
	}
	return plain.String()
}

// Clients of gRPC read a status of gRPC, whatever failed.
func TestGRPCStatusOfOwnAnswers(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.serveGRPC(nil)
		for _, contentType := range []string{"application/grpc", "application/grpc+json", "application/grpc-web+proto"} {
			resp, body := answer(t, g, 2, call(contentType, grpcMessage("hello")))
			if resp.StatusCode != 200 || resp.Header.Get("Grpc-Status") != "14" || resp.Header.Get("Grpc-Message") != "503 Service Unavailable" || body != "" {
				t.Errorf("%s: got %v, %q", contentType, resp, body)
			}
			if got := resp.Header.Get("Content-Type"); got != contentType {
				t.Errorf("%s: the answer is in %s", contentType, got)
			}
		}
		if resp, _ := answer(t, g, 2, call("application/json", "{}")); resp.StatusCode != 503 {
			t.Errorf("who does not speak gRPC got %v", resp)
		}
		g.apply(config.Delta{Reset: true, Listeners: []*config.Listener{g.listener()}})
		if resp, _ := answer(t, g, 2, call("application/grpc", "")); resp.Header.Get("Grpc-Status") != "12" {
			t.Errorf("without a route: got %v", resp)
		}
	})
}

// The access log has the status of calls, wherever it stands.
func TestAccessLogOfCalls(t *testing.T) {
	var out bytes.Buffer
	log := observe.NewAccessLog(&out, observe.JSON, 1)
	g := newGateway(t, engine.Options{Workers: 1, AccessLog: log})
	g.serveGRPC(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Cut") == "" {
			echoCall(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/grpc")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	for _, contentType := range []string{"application/grpc+proto", "application/grpc-web+proto"} {
		for _, message := range []string{"hello", "fail"} {
			r := call(contentType, grpcMessage(message))
			r.Header.Set("Te", "trailers")
			answer(t, g, 2, r)
		}
	}
	cut := call("application/grpc", "")
	cut.Header.Set("X-Cut", "yes")
	answer(t, g, 2, cut)
	g.serveGRPC(nil)
	answer(t, g, 2, call("application/grpc", ""))
	g.apply(config.Delta{Reset: true, Listeners: []*config.Listener{g.listener()}})
	answer(t, g, 2, call("application/json", "")) // the records before are written by then
	log.Close()
	got := regexp.MustCompile(`"status":\d+(,"grpc_status":\d+)?`).FindAllString(out.String(), -1)
	want := []string{`"status":200,"grpc_status":0`, `"status":200,"grpc_status":5`, `"status":200,"grpc_status":0`, `"status":200,"grpc_status":5`,
		`"status":200,"grpc_status":14`, `"status":200,"grpc_status":14`}
	if len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
		t.Errorf("got %q\n%s", got, out.String())
	}
}

func TestGRPCTimeout(t *testing.T) {
	onBoth(t, func(g *gateway) {
		begun := make(chan string, 1)
		g.serveGRPC(func(w http.ResponseWriter, r *http.Request) {
			begun <- r.Header.Get("Grpc-Timeout")
			if r.Header.Get("X-Begin") != "" {
				w.Header().Set("Content-Type", "application/grpc")
				io.WriteString(w, grpcMessage("first"))
				w.(http.Flusher).Flush()
			}
			<-r.Context().Done() // the gateway gives up, and cancels
		})
		for _, begins := range []string{"", "yes"} {
			r := call("application/grpc", grpcMessage("hello"))
			r.Header.Set("Grpc-Timeout", "100m")
			r.Header.Set("X-Begin", begins)
			start := time.Now()
			resp, body := answer(t, g, 2, r)
			if took := time.Since(start); took < 90*time.Millisecond {
				t.Errorf("the answer came after %v", took)
			}
			if got := <-begun; got != "100m" {
				t.Errorf("the backend got the timeout %q", got)
			}
			status := resp.Header.Get("Grpc-Status")
			if begins != "" {
				status = resp.Trailer.Get("Grpc-Status")
			}
			if want := map[string]string{"": "", "yes": grpcMessage("first")}[begins]; status != "4" || body != want {
				t.Errorf("got %v, %v, %q", resp, resp.Trailer, body)
			}
		}
	})
}
