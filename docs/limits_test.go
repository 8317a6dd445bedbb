package docs

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/examples/trial"
	"github.com/sluicegateway/sluice/proxy"
	"github.com/sluicegateway/sluice/proxy/tlsconn"
	"github.com/sluicegateway/sluice/proxy/upstream"
)

// TestLimits holds that limits.md says what the program does.
func TestLimits(t *testing.T) {
	page, err := os.ReadFile("limits.md")
	if err != nil {
		t.Fatal(err)
	}
	client, pool := proxy.DefaultLimits, upstream.DefaultLimits
	for _, limit := range []struct{ name, value string }{
		{"TLS handshake, to its first byte and again from there", duration(client.HandshakeTime)},
		{"TLS handshake, bytes from the client", kibibytes(tlsconn.MaxHandshake)},
		{"TLS handshakes at once, of each worker", count(client.Handshakes)},
		{"TLS record that an idle connection has begun", duration(tlsconn.RecordTime)},
		{"request line", kibibytes(client.Head.RequestLine)},
		{"header fields, in bytes", kibibytes(client.Head.HeaderBytes)},
		{"header fields", count(client.Head.HeaderFields)},
		{"time for the head, from its first byte", duration(client.HeadTimeout)},
		{"body without progress, sent or received", duration(client.BodyIdle)},
		{"idle connection", duration(client.KeepAlive)},
		{"rest of a body that nobody wants, in bytes", kibibytes(int(client.LingerBytes))},
		{"rest of a body that nobody wants, in time", duration(client.LingerTime)},
		{"connections to one address and port", count(int(client.Connections))},
		{"silent tunnel, both ways", duration(client.TunnelIdle)},
		{"connect, with its TLS handshake", duration(pool.ConnectTimeout)},
		{"silence before and within a response", duration(client.UpstreamIdle)},
		{"interim responses to a request", count(client.InterimResponses)},
		{"wait for an answer to `Expect: 100-continue`", duration(client.ContinueWait)},
		{"body kept for a retry or a mirror", kibibytes(client.ReplayBytes)},
		{"idle connections to an endpoint, of each worker", count(pool.IdlePerEndpoint)},
		{"idle connections in all, of each worker", count(pool.Idle)},
		{"idle connection to an endpoint", duration(pool.IdleTimeout)},
		{"connections of HTTP/2 to an endpoint, of each worker", count(pool.Sessions)},
		{"age of a connection of HTTP/2 to an endpoint", duration(pool.SessionAge)},
		{"requests under way on a connection", count(client.HTTP2.Streams)},
		{"frames of a header block", count(client.HTTP2.HeadFrames)},
		{"header block, from its first byte to its last", duration(client.HTTP2.HeadTimeout)},
		{"bytes of a stream that nobody has taken yet", kibibytes(client.HTTP2.StreamWindow) + ", up to " + kibibytes(client.HTTP2.MaxStreamWindow)},
		{"bytes of a connection that nobody has taken yet", kibibytes(client.HTTP2.Window)},
		{"first SETTINGS of the client, and its answer to ours", duration(client.HTTP2.SettingsTime)},
		{"connection without streams", duration(client.HTTP2.KeepAlive)},
		{"bytes that wait while the client takes none", duration(client.HTTP2.WriteIdle)},
		{"announcement of the end of a connection, to a client that does not answer", duration(client.HTTP2.DrainTime)},
		{"last bytes of a connection that ends", duration(client.HTTP2.LingerTime)},
		{"frames that are not DATA and wait for the client", count(client.HTTP2.Controls)},
		{"bytes of frames that wait for the client", kibibytes(client.HTTP2.Buffered)},
		{"points of rudeness", count(client.HTTP2.Rudeness)},
		{"handshake of QUIC", duration(client.HTTP3.Handshake)},
		{"requests of HTTP/3 under way on a connection", count(client.HTTP3.Streams)},
		{"head of a request of HTTP/3, from the beginning of its stream", duration(client.HTTP3.HeadTimeout)},
		{"wait for the end of a request that announces no body", duration(client.HTTP3.EndWait)},
		{"bytes of a stream of HTTP/3 that nobody has taken yet", kibibytes(client.HTTP3.StreamWindow) + ", up to " + kibibytes(client.HTTP3.MaxStreamWindow)},
		{"bytes of a connection of HTTP/3 that nobody has taken yet", kibibytes(client.HTTP3.Window)},
		{"connection of HTTP/3 without requests", duration(client.HTTP3.KeepAlive)},
		{"announcement of the end of a connection of HTTP/3", duration(client.HTTP3.DrainTime)},
		{"last bytes of a connection of HTTP/3 that ends", duration(client.HTTP3.LingerTime)},
		{"points of rudeness of HTTP/3", count(client.HTTP3.Rudeness)},
	} {
		if row := fmt.Sprintf("| %s | %s |", limit.name, limit.value); !strings.Contains(string(page), "\n"+row) {
			t.Errorf("limits.md has no row that begins with %s", row)
		}
	}
}

// TestLimitsOfConstants holds the same of limits that are nobody else's than their
// package's.
func TestLimitsOfConstants(t *testing.T) {
	for _, limit := range []struct {
		name, file, constant string
		write                func(int64) string
	}{
		{"first port that replicas keep for Gateways", "control/provision/ports.go", "firstTarget", plain},
		{"last port that replicas keep for Gateways", "control/provision/ports.go", "lastTarget", plain},
		{"addresses in a Gateway's status", "control/translate/gateway_status.go", "maxAddresses", plain},
		{"endpoints in an EndpointSlice", "control/provision/slices.go", "maxEndpoints", thousands},
		{"what a replica says that it serves, on its Lease", "control/source/kube/serving.go", "maxServing", kibibytesOf},
		{"ancestors in the status of a policy, with those of other controllers", "control/source/kube/status.go", "maxAncestors", plain},
		{"changes that follow another one are gathered for", "control/source/kube/batch.go", "window", milliseconds},
		{"changes wait for Secrets and ConfigMaps that they refer to", "control/source/kube/batch.go", "patience", seconds},
		{"Secrets and ConfigMaps read at the same time", "control/source/kube/referents.go", "gets", plain},
		{"Secrets and ConfigMaps are read again, where they may not be watched", "control/source/kube/referents.go", "glance", everyMinutes},
		{"a request to the API server that is no watch", "control/source/kube/client.go", "requestTimeout", seconds},
		{"first wait before a watch is tried again", "control/source/kube/follow.go", "firstRetry", seconds},
		{"longest wait before a watch is tried again", "control/source/kube/follow.go", "lastRetry", seconds},
		{"a kind is refused by the API server for", "control/source/kube/follow.go", "believed", seconds},
		{"least time between two writes of one object", "control/source/kube/queue.go", "pace", milliseconds},
		{"longest wait before a write that was refused is tried again", "control/source/kube/queue.go", "resigned", seconds},
		{"objects written at the same time", "control/source/kube/queue.go", "parallel", plain},
		{"a replica looks whether its Lease says what it serves", "control/source/kube/serving.go", "checkServing", everySeconds},
		{"the leader stops to lead where it could not renew its Lease for", "control/source/kube/election.go", "renewDeadline", seconds},
		{"another replica may take the lead after", "control/source/kube/election.go", "leaseDuration", seconds},
		{"a listener that could not be served is tried again after", "control/control.go", "retryDelay", seconds},
		{"least time between two writes of `--state-dir`", "cli/saved.go", "savePause", seconds},
		{"age of the key that seals tickets", "proxy/engine/keyring.go", "ticketTime", seconds},
		{"names of the authorities that sign certificates of clients", "proxy/tlsconn/clientauth.go", "maxNames", kibibytesOf},
		{"names of the authorities that sign certificates of clients", "config/tls.go", "MaxAuthorityNames", kibibytesOf},
		{"certificates of authorities in one ConfigMap, in PEM", "config/tls.go", "MaxTrustBundle", kibibytesOf},
		{"a responder of OCSP", "proxy/engine/responder.go", "responderTime", seconds},
		{"answer of a responder", "proxy/engine/responder.go", "maxAnswer", kibibytesOf},
		{"questions to responders at once", "proxy/engine/staple.go", "stapleParallel", plain},
		{"least time between two questions about a certificate", "proxy/engine/staple.go", "stapleSoonest", seconds},
		{"points of rudeness are all forgiven after", "proxy/mux/score.go", "forgetTime", seconds},
		{"points of rudeness of HTTP/3 are all forgiven after", "proxy/http3/score.go", "forgetTime", seconds},
		{"streams of a client beside its requests", "proxy/http3/http3.go", "controlStreams", plain},
		{"SETTINGS of a client of HTTP/3", "proxy/http3/control.go", "maxSettings", kibibytesOf},
		{"other frames beside requests", "proxy/http3/control.go", "maxControl", kibibytesOf},
		{"silence of an endpoint, after which a request that is given up costs the connection of HTTP/2", "proxy/upstream/session.go", "maxSilence", seconds},
		{"connections to each", "admin/admin.go", "maxConnections", plain},
		{"requests to `/metrics` at one time", "admin/admin.go", "maxScrapes", plain},
		{"body of a request to `/explain`", "admin/admin.go", "maxExplain", kibibytesOf},
	} {
		row := fmt.Sprintf("| %s | %s", limit.name, limit.write(constantOf(t, limit.file, limit.constant)))
		if !strings.Contains(text(t, "limits.md"), "\n"+row) {
			t.Errorf("limits.md has no row that begins with %s", row)
		}
	}
}

// constantOf is the value of a constant in a file of the repository.
func constantOf(t *testing.T, file, name string) int64 {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(trial.Root(), file), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for spec := range constants(parsed) {
		for i, ident := range spec.Names {
			if ident.Name == name && i < len(spec.Values) {
				return valueOf(t, file, spec.Values[i])
			}
		}
	}
	t.Fatalf("%s has no constant %s", file, name)
	return 0
}

// constants yields the constants that a file declares outside of functions.
func constants(file *ast.File) iter.Seq[*ast.ValueSpec] {
	return func(yield func(*ast.ValueSpec) bool) {
		for _, declaration := range file.Decls {
			group, ok := declaration.(*ast.GenDecl)
			if !ok || group.Tok != token.CONST {
				continue
			}
			for _, spec := range group.Specs {
				if !yield(spec.(*ast.ValueSpec)) {
					return
				}
			}
		}
	}
}

var units = strings.NewReplacer("time.Millisecond", "1000000", "time.Second", "1000000000", "time.Minute", "60000000000", "time.Hour", "3600000000000")

func valueOf(t *testing.T, file string, e ast.Expr) int64 {
	t.Helper()
	expression := units.Replace(types.ExprString(e))
	evaluated, err := types.Eval(token.NewFileSet(), nil, token.NoPos, expression)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	value, ok := constant.Int64Val(evaluated.Value)
	if !ok {
		t.Fatalf("%s: %s is no whole number", file, expression)
	}
	return value
}

func plain(n int64) string        { return fmt.Sprintf("%d |", n) }
func thousands(n int64) string    { return count(int(n)) + " |" }
func kibibytesOf(n int64) string  { return kibibytes(int(n)) }
func milliseconds(n int64) string { return fmt.Sprintf("%d ms |", time.Duration(n).Milliseconds()) }
func seconds(n int64) string      { return duration(time.Duration(n)) + " |" }
func everySeconds(n int64) string { return "every " + seconds(n) }
func everyMinutes(n int64) string {
	return fmt.Sprintf("every %v min |", time.Duration(n).Minutes())
}

func kibibytes(n int) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}

func count(n int) string {
	if n >= 1000 {
		return fmt.Sprintf("%d,%03d", n/1000, n%1000)
	}
	return fmt.Sprint(n)
}

func duration(d time.Duration) string {
	switch {
	case d >= time.Hour:
		return fmt.Sprintf("%v h", d.Hours())
	case d > 2*time.Minute:
		return fmt.Sprintf("%v min", d.Minutes())
	}
	return fmt.Sprintf("%v s", d.Seconds())
}
