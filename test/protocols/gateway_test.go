package protocols

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"
)

// sluice is the program under test.
var sluice string

func TestMain(m *testing.M) {
	if sluice = os.Getenv("SLUICE"); sluice != "" { // of the test that runs this one
		os.Exit(m.Run())
	}
	dir, err := os.MkdirTemp("", "protocols")
	if err != nil {
		log.Fatal(err)
	}
	sluice = filepath.Join(dir, "sluice")
	build := exec.Command("go", "build", "-o", sluice, "./cmd/sluice")
	build.Dir, build.Stderr = filepath.Join("..", ".."), os.Stderr
	if err := build.Run(); err != nil {
		log.Fatalf("building the program under test: %v", err)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// hostname is what the gateway's certificate is for.
const hostname = "gateway.example"

// gateway is a running one, with a listener in clear text and one in TLS on
// loopback. Both lead to one backend.
type gateway struct {
	clear, secure int            // ports
	admin         string         // address
	chain         []byte         // what the listener in TLS shows, in PEM
	roots         *x509.CertPool // with it
	pid           int
}

// objects are what every gateway here serves; what routes it has is up to the test.
var objects = template.Must(template.New("").Parse(`
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gateway, namespace: default}
spec:
  gatewayClassName: sluice
  addresses: [{type: IPAddress, value: 127.0.0.1}]
  listeners:
  - {name: clear, protocol: HTTP, port: {{.Clear}}}
  - name: secure
    protocol: HTTPS
    port: {{.Secure}}
    tls: {certificateRefs: [{name: gateway}]}
---
apiVersion: v1
kind: Secret
metadata: {name: gateway, namespace: default}
type: kubernetes.io/tls
data: {tls.crt: {{.Chain}}, tls.key: {{.Key}}}
---
apiVersion: v1
kind: Service
metadata: {name: backend, namespace: default}
spec:
  ports: [{name: backend, port: 80, targetPort: {{.Backend}}{{if .AppProtocol}}, appProtocol: {{.AppProtocol}}{{end}}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: backend, namespace: default, labels: {kubernetes.io/service-name: backend}}
addressType: IPv4
ports: [{name: backend, port: {{.Backend}}}]
endpoints: [{addresses: [127.0.0.1]}]
---
{{.Routes}}
`))

// httpRoute leads everything to the backend.
const httpRoute = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: all, namespace: default}
spec:
  parentRefs: [{name: gateway}]
  rules:
  - backendRefs: [{name: backend, port: 80}]
`

// start runs a gateway with the routes until the test ends. appProtocol is that
// of the backend's port, often empty.
func start(t *testing.T, backend net.Addr, appProtocol, routes string) *gateway {
	t.Helper()
	chain, key, roots := certificate(t)
	g := &gateway{clear: freePort(t), secure: freePort(t), admin: fmt.Sprintf("127.0.0.1:%d", freePort(t)), chain: chain, roots: roots}
	var text bytes.Buffer
	err := objects.Execute(&text, map[string]any{
		"Clear": g.clear, "Secure": g.secure, "Chain": base64.StdEncoding.EncodeToString(chain), "Key": base64.StdEncoding.EncodeToString(key),
		"Backend": backend.(*net.TCPAddr).Port, "AppProtocol": appProtocol, "Routes": routes,
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "objects.yaml")
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	process := exec.Command(sluice, "run", "--access-log=off", "--admin", g.admin, file)
	process.Stdout, process.Stderr = &output, &output
	process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	g.pid = process.Process.Pid
	t.Cleanup(func() {
		process.Process.Kill()
		process.Wait()
		if t.Failed() {
			t.Logf("the gateway's output:\n%s", output.String())
		}
	})
	g.awaitReady(t)
	return g
}

func (g *gateway) awaitReady(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get("http://" + g.admin + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the gateway is not ready: %v", err)
		}
	}
}

// tls is for connections to the secure listener.
func (g *gateway) tls(protocols ...string) *tls.Config {
	return &tls.Config{RootCAs: g.roots, ServerName: hostname, NextProtos: protocols}
}

// freePort is a port of loopback that was free a moment ago.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// certificate is one for hostname that signs itself.
func certificate(t *testing.T) (chain, key []byte, roots *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: hostname}, DNSNames: []string{hostname}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	leaf, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	chain = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf})
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(chain)
	return chain, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), roots
}

// webServer answers as an ordinary web server would, in HTTP/1.1 and in HTTP/2
// in clear text.
func webServer(t *testing.T) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.Repeat("<p>a page of some length</p>\n", 200)
	server := &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if r.Method != http.MethodHead {
			fmt.Fprint(w, page)
		}
	})}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return l.Addr()
}

// shop is a backend that has large things too, and takes what it is sent before
// it answers.
func shop(t *testing.T) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	page, large := make([]byte, 5_000), make([]byte, 1<<20)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if r.URL.Path != "/large" {
			w.Write(page)
			return
		}
		w.Write(large)
	})}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return l.Addr()
}
