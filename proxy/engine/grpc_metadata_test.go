package engine_test

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/engine"
)

// seen is what a backend got of the names that matter here.
func seen(w http.ResponseWriter, r *http.Request) {
	var names []string
	for name := range r.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x") && !strings.HasPrefix(name, "X-Forwarded-") && name != "X-Request-Id" {
			names = append(names, lower)
		}
	}
	slices.Sort(names)
	w.Header().Set("Content-Type", "application/grpc")
	fmt.Fprintf(w, "%v %q", names, r.Header["X-Forwarded-For"])
}

var metadata = http.Header{
	"x_user": {"1"}, "x-user": {"2"}, "x_forwarded_for": {"6.6.6.6"}, "X-Forwarded_For": {"6.6.6.6"}, "x_forwarded_client_cert": {"Hash=0"},
	"x-forwarded-prefix": {"/admin"}, "x_real-ip": {"6.6.6.6"}, "x_request_id": {"mine"},
}

// Metadata of gRPC may have names with an underscore, which reach backends by
// HTTP/2. What looks like the words of a proxy is no metadata.
func TestUnderscoresOfMetadata(t *testing.T) {
	for _, trusted := range []bool{false, true} {
		for contentType, want := range map[string]string{"application/grpc": "[x-user x_user]", "text/plain": "[x-user]"} {
			t.Run(fmt.Sprint(contentType, trusted), func(t *testing.T) {
				o := engine.Options{}
				if trusted {
					o.Trusted = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
				}
				g := newGateway(t, o)
				g.serveGRPC(seen)
				r := call(contentType, "")
				for name, values := range metadata {
					if !trusted || strings.Contains(name, "_") || name == "x-user" {
						r.Header[name] = values
					}
				}
				if _, body := answer(t, g, 2, r); body != want+` ["127.0.0.1"]` {
					t.Errorf("the backend got %s", body)
				}
			})
		}
	}
}

// In HTTP/1.1 they stay behind, whatever the request says that it is.
func TestUnderscoresStayOutOfHTTP1(t *testing.T) {
	onBoth(t, func(g *gateway) {
		g.serve(g.origin(seen), config.Rule{})
		r := call("application/grpc", "")
		r.Header["x_user"], r.Header["x-user"] = []string{"1"}, []string{"2"}
		r.URL.Host = g.addr.String()
		resp, err := g.user(2).Do(r)
		if err != nil {
			g.Fatal(err)
		}
		defer resp.Body.Close()
		if body, _ := io.ReadAll(resp.Body); string(body) != `[x-user] ["127.0.0.1"]` {
			g.Errorf("the backend got %s", body)
		}
	})
}
