package protocols

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// nginxConfig has two workers as the gateway has on two processors, and lets
// bodies stream as the gateway does.
const nginxConfig = `
daemon off;
worker_processes 2;
pid nginx.pid;
error_log error.log crit;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  upstream backend { server %s; keepalive 64; }
  server {
    listen %s http2;
    keepalive_requests 1000000;
    location / { proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_request_buffering off; }
  }
}
`

// startNginx runs nginx in front of a backend until the test ends, with HTTP/2
// in clear text.
func startNginx(t *testing.T, backend net.Addr) (address string) {
	t.Helper()
	install(t, "nginx")
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	address = fmt.Sprintf("127.0.0.1:%d", freePort(t))
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, nginxConfig, backend, address), 0o644); err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	process := exec.Command("nginx", "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", file)
	process.Stdout, process.Stderr = &output, &output
	process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		process.Process.Signal(syscall.SIGTERM)
		process.Wait()
	})
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		resp, err := (&http.Client{Transport: transport}).Get("http://" + address + "/")
		if err == nil {
			resp.Body.Close()
			return address
		}
		if time.Now().After(deadline) {
			t.Fatalf("nginx does not answer: %v\n%s", err, output.String())
		}
	}
}

// install has programs of others that a test needs.
func install(t *testing.T, programs ...string) {
	t.Helper()
	if out, err := exec.Command("../../.ci/install", programs...).CombinedOutput(); err != nil {
		t.Fatalf("installing %v: %v\n%s", programs, err, out)
	}
}
