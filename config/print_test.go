package config_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicegateway/sluice/config"
)

// whole has every field that prints.
func whole() *config.Delta {
	return &config.Delta{
		Version: 7,
		Reset:   true,
		Listeners: []*config.Listener{{
			Name: "default/gw/http", Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")},
			Port: 80, Protocol: config.ProtocolHTTP, Hostname: "*.shop.example",
		}, {
			Name: "default/gw/https", Port: 443, BindPort: 10443, Protocol: config.ProtocolHTTPS,
			Certificates:       []config.Certificate{{Name: "secret/default/shop-tls", Chain: chain, Key: key}},
			BackendCertificate: &config.Certificate{Name: "secret/default/gw", Chain: chain, Key: key},
			TLS: &config.ListenerTLS{
				MinVersion: "1.2", MaxVersion: "1.3", Ciphers: []string{"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"}, ALPN: []string{"h2", "http/1.1"},
				ClientAuth: config.ClientAuthValidOnly, ClientCAs: []config.TrustBundle{{Name: "configmap/default/clients-ca", PEM: chain}},
			},
			Client: &config.ClientSettings{
				TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, CertificateHeader: true, HTTP3: true,
				RequestHeaders:  &config.HeaderModifier{Remove: []string{"X-C"}},
				ResponseHeaders: &config.HeaderModifier{Set: []config.Header{{Name: "X-A", Value: "a"}}},
				Limits:          config.ClientLimits{HeaderBytes: 1000, HeaderFields: 10, Streams: 5, Connections: 100},
				Timeouts:        config.ClientTimeouts{Handshake: time.Second, Head: 2 * time.Second, BodyIdle: 3 * time.Second, Idle: 4 * time.Second},
			},
		}},
		Routes: []*config.Route{{
			Name:        "httproute/default/shop",
			Created:     time.Unix(0, 0),
			Attachments: []config.Attachment{{Listener: "default/gw/http", Hostnames: []string{"", "a.shop.example"}}},
			Rules: []config.Rule{{
				Name: "all",
				Matches: []config.Match{{
					Path: config.PathMatch{Type: config.PathExact, Value: "/a"}, Method: "GET",
					Headers: []config.ValueMatch{{Name: "env", Value: "canary"}}, Query: []config.ValueMatch{{Name: "q", Regex: true, Value: "^a b"}},
				}},
				Filters: config.Filters{
					RequestHeaders:  &config.HeaderModifier{Set: []config.Header{{Name: "X-A", Value: "a b"}}, Add: []config.Header{{Name: "X-B", Value: "b"}}, Remove: []string{"X-C"}},
					ResponseHeaders: &config.HeaderModifier{Remove: []string{"Server"}},
					Rewrite:         &config.Rewrite{Hostname: "b.example", Path: &config.PathModifier{Prefix: true}},
					Mirrors:         []config.Mirror{{Backend: "service/default/web:80", Numerator: 1, Denominator: 10}},
					CORS:            &config.CORS{AllowOrigins: []string{"*"}, AllowMethods: []string{"GET"}, AllowHeaders: []string{"X-A"}, ExposeHeaders: []string{"X-B"}, AllowCredentials: true, MaxAge: time.Minute},
				},
				Timeouts: config.Timeouts{Request: time.Second, BackendRequest: time.Millisecond},
				Retry:    &config.Retry{Codes: []int{500, 503}, Attempts: 2, Backoff: time.Millisecond},
				Backends: []config.BackendRef{
					{Backend: "service/default/web:80", Weight: 3, Filters: config.Filters{Redirect: &config.Redirect{Status: 302, Scheme: "https", Hostname: "c.example", Port: 8443, Path: &config.PathModifier{Full: "/new"}}}},
					{Weight: 0, Fault: &config.Fault{Status: 500, Reason: "Service default/none does not exist"}},
				},
			}, {
				Matches: []config.Match{{Path: config.PathMatch{Type: config.PathPrefix, Value: "/"}}},
				Fault:   &config.Fault{Status: 500, Reason: "no such filter"},
			}},
		}, {
			Name: "grpcroute/default/cart", GRPC: true,
			Attachments: []config.Attachment{{Listener: "default/gw/http", Hostnames: []string{"cart.shop.example"}}},
			Rules: []config.Rule{{Matches: []config.Match{
				{RPC: &config.RPCMatch{}},
				{RPC: &config.RPCMatch{Service: "shop.Cart", Method: "Add"}, Headers: []config.ValueMatch{{Name: "env", Value: "canary"}}},
				{RPC: &config.RPCMatch{Method: "Get|List", Regex: true}},
			}}},
		}},
		Backends: []*config.Backend{{
			Name: "service/default/web:80", Protocol: config.AppWebSocket, Restricted: true,
			Endpoints: []config.Endpoint{
				{Address: netip.MustParseAddrPort("10.0.0.1:8080"), Ready: true, Serving: true},
				{Address: netip.MustParseAddrPort("[::1]:8080"), Serving: true, Terminating: true},
				{Host: "api.example", Port: 80},
				{Unix: "/run/api.sock", Ready: true},
			},
		}, {
			Name: "service/default/bank:443", Protocol: config.AppHTTP,
			TLS: &config.BackendTLS{
				Hostname: "bank.example", SANs: []config.SubjectAltName{{Hostname: "*.bank.example"}, {URI: "spiffe://shop/bank"}},
				CAs: []config.TrustBundle{{Name: "configmap/default/bank-ca", PEM: chain}}, System: true,
			},
			Fault: &config.Fault{Status: 502, Reason: "no such policy"},
		}},
		Removed: []config.Ref{{Kind: config.KindRoute, Name: "httproute/default/old"}},
	}
}

const printed = `listener default/gw/http port=80 protocol=HTTP hostname=*.shop.example addresses=127.0.0.1,::1
listener default/gw/https port=443 bindPort=10443 protocol=HTTPS
  certificate secret/default/shop-tls names=shop.example,*.shop.example,192.0.2.1 sha256=SUM
  tls min=1.2 max=1.3 ciphers=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 alpn=h2,http/1.1 clients=AllowValidOnly
    ca configmap/default/clients-ca sha256=PEM
  backendCertificate secret/default/gw names=shop.example,*.shop.example,192.0.2.1 sha256=SUM
  clients trusted=192.0.2.0/24 certificateHeader http3
    request headers remove X-C
    response headers set X-A=a
    limits headerBytes=1000 headerFields=10 streams=5 connections=100
    timeouts handshake=1s head=2s bodyIdle=3s idle=4s
route httproute/default/shop created=1970-01-01T00:00:00Z
  at default/gw/http hostnames=*,a.shop.example
  rule 0 all
    match Exact /a method=GET header:env="canary" query:q~"^a b"
    cors origins=* methods=GET headers=X-A expose=X-B credentials maxAge=1m0s
    request headers set X-A="a b" add X-B=b remove X-C
    response headers remove Server
    rewrite hostname=b.example prefix=""
    mirror service/default/web:80 1/10
    timeouts request=1s backendRequest=1ms
    retry attempts=2 codes=500,503 backoff=1ms
    to service/default/web:80 weight=3
      redirect 302 scheme=https hostname=c.example port=8443 path="/new"
    to weight=0
      fault 500 Service default/none does not exist
  rule 1
    match PathPrefix /
    fault 500 no such filter
route grpcroute/default/cart grpc
  at default/gw/http hostnames=cart.shop.example
  rule 0
    match RPC
    match RPC service=shop.Cart method=Add header:env="canary"
    match RPC method~"Get|List"
backend service/default/web:80 ws restricted
  10.0.0.1:8080 ready serving
  [::1]:8080 serving terminating
  api.example:80
  /run/api.sock ready
backend service/default/bank:443 http
  fault 502 no such policy
  tls hostname=bank.example names=*.bank.example,spiffe://shop/bank system
    ca configmap/default/bank-ca sha256=PEM
removed route httproute/default/old
`

func TestPrint(t *testing.T) {
	block, _ := pem.Decode(chain)
	want := strings.NewReplacer("SUM", fmt.Sprintf("%x", sha256.Sum256(block.Bytes)), "PEM", fmt.Sprintf("%x", sha256.Sum256(chain))).Replace(printed)
	if diff := cmp.Diff(want, whole().String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What is secret is not printed, in no form that it may take.
func TestPrintHasNoKey(t *testing.T) {
	d := whole()
	block, _ := pem.Decode(key)
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"print": d.String(), "json": string(text)} {
		for _, secret := range []string{"PRIVATE KEY", base64.StdEncoding.EncodeToString(block.Bytes)[40:60], base64.StdEncoding.EncodeToString(key)[40:60]} {
			if strings.Contains(text, secret) {
				t.Errorf("%s has the key:\n%s", name, text)
			}
		}
	}
}

func TestPrintOfAnInvalidCertificate(t *testing.T) {
	l := config.Listener{Name: "a", Port: 1, Protocol: config.ProtocolHTTPS, Certificates: []config.Certificate{{Name: "secret/default/a", Chain: []byte("none")}}}
	if got := l.String(); !strings.Contains(got, "\n  certificate secret/default/a invalid\n") {
		t.Error(got)
	}
}

func TestEmpty(t *testing.T) {
	if d := (&config.Delta{Version: 3}); !d.Empty() {
		t.Error("a delta without changes is not empty")
	}
	if d := (&config.Delta{Reset: true}); d.Empty() {
		t.Error("a reset is empty, although it removes all")
	}
}
