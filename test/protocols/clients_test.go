package protocols

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var chromiumToo = flag.Bool("chromium", false, "run Chromium too, whose package is large")

// site is a backend for the clients that people use: /echo returns what it is
// sent, /socket echoes as a WebSocket, / is a page that says how it came.
func site(t *testing.T) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		io.Copy(w, r.Body)
	})
	mux.HandleFunc("/socket", echoSocket)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, page)
	})
	server := &http.Server{Handler: mux}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return l.Addr()
}

// page has a browser write down by which protocol it came, and what a WebSocket
// and an upload say.
const page = `<!doctype html><body><p id=result></p><script>
const say = text => document.getElementById("result").append(text + ";")
say("page " + performance.getEntriesByType("navigation")[0].nextHopProtocol)
fetch("/echo", {method: "POST", body: "x".repeat(1e6)}).then(r => r.text()).then(text => {
  say("upload " + text.length)
  say("echo " + performance.getEntriesByType("resource")[0].nextHopProtocol)
})
const socket = new WebSocket("wss://" + location.host + "/socket")
socket.onopen = () => socket.send("hello")
socket.onmessage = m => say("socket " + m.data)
</script>`

// echoSocket accepts a WebSocket and returns the payloads of its frames.
func echoSocket(w http.ResponseWriter, r *http.Request) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	defer conn.Close()
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(sum[:]))
	for {
		var head [6]byte // two bytes, and the mask; payloads are short here
		if _, err := io.ReadFull(buffered, head[:]); err != nil {
			return
		}
		payload := make([]byte, head[1]&0x7f)
		if _, err := io.ReadFull(buffered, payload); err != nil {
			return
		}
		for i := range payload {
			payload[i] ^= head[2+i%4]
		}
		conn.Write(append([]byte{head[0], byte(len(payload))}, payload...))
	}
}

// clients are what a gateway gives those who connect to it by its name.
type clients struct {
	*gateway
	authority string // a file with the certificate
}

func startClients(t *testing.T) *clients {
	t.Helper()
	g := start(t, site(t), "", httpRoute)
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, g.chain, 0o600); err != nil {
		t.Fatal(err)
	}
	return &clients{gateway: g, authority: file}
}

// run runs a client that has a minute.
func run(t *testing.T, input io.Reader, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, name, args...)
	var out, errors bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = input, &out, &errors
	if err := command.Run(); err != nil {
		t.Fatalf("%s: %v\n%s\n%s", name, err, out.String(), errors.String())
	}
	return out.String()
}

func TestCurl(t *testing.T) {
	install(t, "curl")
	c := startClients(t)
	clear, secure := fmt.Sprintf("http://%s:%d", hostname, c.clear), fmt.Sprintf("https://%s:%d", hostname, c.secure)
	large := strings.Repeat("0123456789abcdef", 1<<17)
	for name, test := range map[string]struct {
		origin, options, version string
	}{
		"HTTP/1.1":                  {clear, "--http1.1", "1.1"},
		"HTTP/2 by prior knowledge": {clear, "--http2-prior-knowledge", "2"},
		"HTTP/2 by upgrade":         {clear, "--http2", "1.1"}, // which RFC 9113 has dropped
		"HTTP/1.1 in TLS":           {secure, "--http1.1", "1.1"},
		"HTTP/2 in TLS":             {secure, "--http2", "2"},
		"TLS 1.2":                   {secure, "--tls-max 1.2", "2"},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{"--silent", "--show-error", "--fail", "--cacert", c.authority,
				"--resolve", fmt.Sprintf("%s:%d:127.0.0.1", hostname, c.clear), "--resolve", fmt.Sprintf("%s:%d:127.0.0.1", hostname, c.secure)}
			args = append(args, strings.Fields(test.options)...)
			if got := run(t, nil, "curl", append(args, "--write-out", " %{http_version}", test.origin+"/")...); got != page+" "+test.version {
				t.Errorf("the page came as %q", got)
			}
			if got := run(t, strings.NewReader(large), "curl", append(args, "--data-binary", "@-", test.origin+"/echo")...); got != large {
				t.Errorf("of an upload came %d bytes back", len(got))
			}
			if got := run(t, strings.NewReader(large), "curl", append(args, "--upload-file", "-", test.origin+"/echo")...); got != large {
				t.Errorf("of an upload without a length came %d bytes back", len(got))
			}
		})
	}
}

func TestH2Load(t *testing.T) {
	install(t, "h2load")
	c := startClients(t)
	for name, args := range map[string][]string{
		"h2c":      {fmt.Sprintf("http://127.0.0.1:%d/", c.clear)},
		"tls":      {fmt.Sprintf("https://127.0.0.1:%d/", c.secure)},
		"HTTP/1.1": {"--h1", fmt.Sprintf("https://127.0.0.1:%d/", c.secure)},
		"uploads":  {"--data", c.authority, fmt.Sprintf("https://127.0.0.1:%d/echo", c.secure)},
	} {
		t.Run(name, func(t *testing.T) {
			out := run(t, nil, "h2load", append([]string{"--requests=5000", "--clients=10", "--max-concurrent-streams=20"}, args...)...)
			if !strings.Contains(out, "5000 succeeded, 0 failed, 0 errored, 0 timeout") || !strings.Contains(out, "status codes: 5000 2xx") {
				t.Error(out)
			}
		})
	}
}

// TestNode runs a script with what Node has for HTTP/1.1, HTTP/2, and WebSocket
// over HTTP/2.
func TestNode(t *testing.T) {
	install(t, "node")
	c := startClients(t)
	out := run(t, nil, "node", "testdata/client.js", c.authority, hostname, fmt.Sprint(c.clear), fmt.Sprint(c.secure))
	const want = "HTTP/1.1: 200\nHTTP/1.1 in TLS: 200\nh2c: 200 1000000\nh2: 200 1000000\nrequests at once: 500\nWebSocket over h2: 200 hello\n"
	if out != want {
		t.Errorf("Node says\n%s", out)
	}
}

// TestGo holds Go's own client.
func TestGo(t *testing.T) {
	c := startClients(t)
	body := strings.Repeat("x", 1_000_000)
	for name, test := range map[string]struct {
		origin    string
		protocols func(*http.Protocols)
		major     int
	}{
		"HTTP/1.1":        {fmt.Sprintf("http://127.0.0.1:%d", c.clear), func(p *http.Protocols) { p.SetHTTP1(true) }, 1},
		"h2c":             {fmt.Sprintf("http://127.0.0.1:%d", c.clear), func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }, 2},
		"HTTP/1.1 in TLS": {fmt.Sprintf("https://127.0.0.1:%d", c.secure), func(p *http.Protocols) { p.SetHTTP1(true) }, 1},
		"h2":              {fmt.Sprintf("https://127.0.0.1:%d", c.secure), func(p *http.Protocols) { p.SetHTTP2(true) }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			transport := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: c.tls()}
			test.protocols(transport.Protocols)
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport, Timeout: time.Minute}
			for range 20 {
				resp, err := client.Post(test.origin+"/echo", "text/plain", strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || string(got) != body || resp.ProtoMajor != test.major {
					t.Fatalf("%s with %d bytes, %v", resp.Proto, len(got), err)
				}
			}
		})
	}
}

func TestChromium(t *testing.T) {
	if !*chromiumToo {
		t.Skip("without -chromium")
	}
	install(t, "chromium")
	c := startClients(t)
	out := run(t, nil, "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--ignore-certificate-errors", "--user-data-dir="+t.TempDir(),
		"--virtual-time-budget=10000", "--host-resolver-rules=MAP "+hostname+" 127.0.0.1", "--dump-dom", fmt.Sprintf("https://%s:%d/", hostname, c.secure))
	for _, want := range []string{"page h2;", "upload 1000000;", "echo h2;", "socket hello;"} {
		if !strings.Contains(out, want) {
			t.Errorf("the page does not say %q:\n%s", want, out)
		}
	}
}
