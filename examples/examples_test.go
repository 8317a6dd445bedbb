// Package examples holds the examples. Its tests run each of them with the real
// program and assert what it shows.
package examples

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/cli/echo"
	"github.com/sluicegateway/sluice/examples/trial"
)

func TestMain(m *testing.M) { trial.Main(m) }

// example is a running example.
type example struct {
	*testing.T
	*trial.Trial
	client http.Client
}

// run serves the folder, with an echo server for each NAME=PORT.
func run(t *testing.T, folder string, backends ...string) *example {
	t.Helper()
	t.Parallel()
	e := &example{T: t, Trial: trial.New(t, folder)}
	e.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Cleanup(e.client.CloseIdleConnections)
	command := "sluice echo"
	for _, backend := range backends {
		command += " --listen " + strings.Replace(backend, "=", "=127.0.0.1:", 1)
	}
	e.Start(command)
	e.Start("sluice run " + folder)
	return e
}

// get sends a request to the example's port and returns the status, the
// Location, and what the backend said that it got.
func (e *example) get(port int, host, target string, fields ...string) (status int, location string, got echo.Answer) {
	e.Helper()
	request, err := http.NewRequest("GET", "http://"+e.Address(port)+target, nil)
	if err != nil {
		e.Fatal(err)
	}
	request.Host = host
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		request.Header.Set(name, value)
	}
	response, err := e.client.Do(request)
	if err != nil {
		e.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		e.Fatal(err)
	}
	_ = json.Unmarshal(body, &got) // What the gateway answers itself is no JSON.
	return response.StatusCode, response.Header.Get("Location"), got
}

// want holds a request to a backend, or to a status in its place.
func (e *example) want(port int, host, target, want string, fields ...string) {
	e.Helper()
	status, _, got := e.get(port, host, target, fields...)
	if answer := got.Name; answer != want && fmt.Sprint(status) != want {
		e.Errorf("%s%s %v went to %q with status %d, want %s", host, target, fields, answer, status, want)
	}
}

// wantSplit holds n requests to their shares. A worker's cycle is exact; over
// the process each may be off by one for each worker.
func (e *example) wantSplit(port int, host string, n int, shares map[string]int) {
	e.Helper()
	counts := map[string]int{}
	for range n {
		_, _, got := e.get(port, host, "/")
		counts[got.Name]++
	}
	tolerance := runtime.GOMAXPROCS(0) // as many as the gateway has workers
	for name, share := range shares {
		if d := counts[name] - share; d < -tolerance || d > tolerance {
			e.Errorf("of %d requests %v, want about %v", n, counts, shares)
		}
		delete(counts, name)
	}
	if len(counts) > 0 {
		e.Errorf("requests also went to %v", counts)
	}
}

// wantConditions holds lines of `sluice get`: each has all the words of one want.
func (e *example) wantConditions(resource string, wants ...string) {
	e.Helper()
	output, code := e.Shell("sluice get " + resource)
	if code != 0 {
		e.Fatalf("sluice get %s: exit code %d: %s", resource, code, output)
	}
	for _, want := range wants {
		if !hasLine(output, strings.Fields(want)) {
			e.Errorf("sluice get %s has no line with %q:\n%s", resource, want, output)
		}
	}
}

func hasLine(output string, words []string) bool {
	for line := range strings.Lines(output) {
		missing := false
		for _, word := range words {
			missing = missing || !strings.Contains(line, word)
		}
		if !missing {
			return true
		}
	}
	return false
}

// eventually waits for what takes effect a moment after a file has changed.
func (e *example) eventually(what string, done func() bool) {
	e.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			e.Fatalf("not within 20 s: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// makeCertificate runs a command that makes a certificate and its Secret.
func (e *example) makeCertificate(command string) {
	e.Helper()
	if output, code := e.Shell(command); code != 0 {
		e.Fatalf("%s: exit code %d: %s", command, code, output)
	}
}

// secure sends a request in TLS, in HTTP/2, as a client that trusts only the
// certificate in the file, and returns the name of the backend that answered.
func (e *example) secure(trusted, host, target string) string {
	e.Helper()
	command := fmt.Sprintf("curl -s --http2 --cacert %s --resolve %[2]s:8443:127.0.0.1 https://%[2]s:8443%[3]s", trusted, host, target)
	output, _ := e.Shell(command)
	var got echo.Answer
	_ = json.Unmarshal([]byte(output), &got) // what curl says of a failure is no JSON
	return got.Name
}

func TestQuickstart(t *testing.T) {
	e := run(t, "examples/quickstart", "shop-stable=9001", "shop-canary=9002", "prices=9003")
	e.want(8080, "", "/", "shop-canary", "env: canary")
	e.wantSplit(8080, "", 400, map[string]int{"shop-stable": 360, "shop-canary": 40})
	if _, _, got := e.get(8080, "", "/api/v1/prices?currency=eur"); got.Name != "prices" || got.Path != "/v1/prices" || got.Query != "currency=eur" {
		t.Errorf("the rewrite sent %+v", got)
	}
	status, location, _ := e.get(8080, "", "/old-shop/cart")
	if want := "http://" + e.Address(8080) + "/cart"; status != 301 || location != want {
		t.Errorf("the redirect answered %d with Location %s, want 301 with %s", status, location, want)
	}
	if output, code := e.Shell("sluice check examples/quickstart"); code != 0 {
		t.Errorf("sluice check: exit code %d: %s", code, output)
	}
}

func TestTeams(t *testing.T) {
	const store, site, payments = "store.company.example", "www.company.example", "payments.company.example"
	e := run(t, "examples/teams", "store-v1=9011", "store-v2=9012", "site=9013", "payments=9014", "catalog=9015", "stock=9016")

	e.wantSplit(8080, store, 400, map[string]int{"store-v1": 360, "store-v2": 40})
	e.wantSplit(8082, store, 400, map[string]int{"store-v1": 360, "store-v2": 40}) // on two Gateways
	e.want(8080, site, "/", "site")
	e.want(8080, site, "/catalog/1", "catalog") // granted
	e.want(8080, site, "/stock", "500")         // not granted
	e.want(8081, payments, "/", "payments")     // a Gateway of its own
	e.want(8080, payments, "/", "404")          // and no place on the shared one
	e.want(8082, site, "/", "404")
	e.wantConditions("routes",
		"site platform/shared ResolvedRefs RefNotPermitted",
		"payments platform/shared Accepted NotAllowedByListeners",
		"store platform/shared Accepted", "store platform/internal Accepted")

	e.wantConditions("gateways", "platform shared https HTTPS *.company.example is False (InvalidCertificateRef)")
	e.makeCertificate("sh examples/teams/security/certificate.sh")
	e.eventually("the certificate is shown", func() bool { return e.secure("examples/teams/security/tls.crt", site, "/") == "site" })
	if got := e.secure("examples/teams/security/tls.crt", site, "/shop/cart"); got != "store-v1" { // another team behind the same name
		t.Errorf("the store's path on the site went to %q", got)
	}
	if got := e.secure("examples/teams/security/tls.crt", store, "/"); got != "store-v1" && got != "store-v2" { // another name, the same certificate
		t.Errorf("the store's hostname went to %q", got)
	}

	e.WriteFile("examples/teams/warehouse/grant.yaml", warehouseGrant)
	e.eventually("the warehouse's grant counts", func() bool {
		_, _, got := e.get(8080, site, "/stock")
		return got.Name == "stock"
	})
	e.Shell("rm examples/teams/catalog/grant.yaml")
	e.eventually("the catalog's grant is gone", func() bool {
		status, _, _ := e.get(8080, site, "/catalog")
		return status == 500
	})
	e.want(8080, site, "/", "site")
}

// warehouseGrant lets the site team in after all.
const warehouseGrant = `apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata:
  name: site-may-use-stock
  namespace: warehouse
spec:
  from:
  - group: gateway.networking.k8s.io
    kind: HTTPRoute
    namespace: site
  to:
  - group: ""
    kind: Service
`

func TestTour(t *testing.T) {
	e := run(t, "examples/tour", "one=9001", "two=9002", "three=9003")
	e.want(8080, "www.shop.example", "/monitor", "one")
	e.want(8080, "www.shop.example", "/api2/otel", "three", "env: prod")
	e.want(8080, "www.shop.example", "/api2/otel", "404")
	e.want(8082, "any.example", "/", "three")
	if status, location, _ := e.get(8080, "www.shop.example", "/secure"); status != 301 || location != "https://www.shop.example/secure" {
		t.Errorf("the redirect answered %d with Location %s", status, location)
	}
	e.wantConditions("gateways",
		"tour shop HTTP", "selector http HTTP",
		"tls https InvalidCertificateRef", "tcp foo UnsupportedProtocol", "tcp bar UnsupportedProtocol")
	e.wantConditions("routes", "TCPRoute tcp-app-1", "TCPRoute tcp-app-2", "GRPCRoute user Accepted")

	for call, want := range map[string]string{
		"-H 'version: 2' http://127.0.0.1:8080/com.example.User/Login": "one",
		"http://127.0.0.1:8080/com.example.User/Login":                 "grpc-status: 12", // without the header
	} {
		output, _ := e.Shell("curl -si --http2-prior-knowledge -H 'Content-Type: application/grpc' -H 'Host: grpc.shop.example' -d '' " + call)
		if !strings.Contains(output, want) {
			t.Errorf("%s: no %q in %s", call, want, output)
		}
	}

	e.makeCertificate(tourCertificate)
	e.eventually("the certificate is shown", func() bool { return e.secure("tls.crt", "www.shop.example", "/") == "two" })
}

// tourCertificate makes the Secret as kubectl does in the tutorials.
const tourCertificate = `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=shop.example \
	-addext 'subjectAltName=DNS:*.shop.example' -keyout tls.key -out tls.crt &&
printf 'apiVersion: v1\nkind: Secret\nmetadata: {name: shop-certificate, namespace: certificates}\ndata: {tls.crt: %s, tls.key: %s}\n' \
	"$(openssl base64 -A -in tls.crt)" "$(openssl base64 -A -in tls.key)" >examples/tour/secret.yaml`

// TestBase holds that the base of the task pages is right by itself.
func TestBase(t *testing.T) {
	e := &example{T: t, Trial: trial.New(t, "examples/base")}
	if output, code := e.Shell("sluice check examples/base"); code != 0 {
		t.Errorf("sluice check: exit code %d: %s", code, output)
	}
}
