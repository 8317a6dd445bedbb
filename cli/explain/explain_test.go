package explain_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicegateway/sluice/cli/explain"
	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/route"
)

func shop() *config.Delta {
	path := func(kind config.PathMatchType, value string) config.PathMatch {
		return config.PathMatch{Type: kind, Value: value}
	}
	return &config.Delta{
		Version: 1, Reset: true,
		Listeners: []*config.Listener{
			{Name: "default/gw/http", Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Port: 8080, Protocol: config.ProtocolHTTP},
			{Name: "default/gw/other", Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Port: 8080, Protocol: config.ProtocolHTTP, Hostname: "other.example"},
		},
		Routes: []*config.Route{{
			Name:        "httproute/default/shop",
			Attachments: []config.Attachment{{Listener: "default/gw/http", Hostnames: []string{"shop.example"}}},
			Rules: []config.Rule{
				{
					Name:    "canary",
					Matches: []config.Match{{Path: path(config.PathPrefix, "/cart"), Headers: []config.ValueMatch{{Name: "env", Value: "canary"}}}},
					Filters: config.Filters{
						RequestHeaders: &config.HeaderModifier{Add: []config.Header{{Name: "X-Canary", Value: "yes"}}},
						Rewrite:        &config.Rewrite{Path: &config.PathModifier{Prefix: true, Replacement: "/basket"}},
						Mirrors:        []config.Mirror{{Backend: "service/default/log:80", Numerator: 1, Denominator: 10}},
					},
					Backends: []config.BackendRef{
						{Backend: "service/default/web:80", Weight: 9},
						{Backend: "service/default/empty:80", Weight: 1},
					},
				},
				{
					Matches:  []config.Match{{Path: path(config.PathPrefix, "/cart")}},
					Backends: []config.BackendRef{{Fault: &config.Fault{Status: 500, Reason: "Service default/gone does not exist"}, Weight: 1}},
				},
				{
					Matches: []config.Match{{Path: path(config.PathExact, "/old")}},
					Filters: config.Filters{Redirect: &config.Redirect{Status: 301, Scheme: "https"}},
				},
			},
		}, {
			Name:        "grpcroute/default/cart",
			GRPC:        true,
			Attachments: []config.Attachment{{Listener: "default/gw/http", Hostnames: []string{"cart.example"}}},
			Rules: []config.Rule{{
				Matches:  []config.Match{{RPC: &config.RPCMatch{Service: "shop.Cart", Method: "Add"}}},
				Backends: []config.BackendRef{{Backend: "service/default/web:80", Weight: 1}},
			}, {
				Matches:  []config.Match{{RPC: &config.RPCMatch{Service: "shop.Cart"}}},
				Backends: []config.BackendRef{{Fault: &config.Fault{Status: 503, Reason: "Service default/gone does not exist"}, Weight: 1}},
			}},
		}},
		Backends: []*config.Backend{{Name: "service/default/web:80", Protocol: config.AppHTTP, Endpoints: []config.Endpoint{
			{Address: netip.MustParseAddrPort("10.0.0.1:80"), Ready: true},
			{Host: "web.example", Port: 81, Ready: true, Terminating: true},
			{Unix: "/run/web.sock"},
		}}},
	}
}

func explained(t *testing.T, r explain.Request) string {
	t.Helper()
	var table *route.Table[struct{}]
	table, err := table.Apply(shop(), func(*config.Route, *config.Rule) struct{} { return struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	e, err := explain.Explain(table, shop(), r)
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	if err := e.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTheWayAndWhyNoOther(t *testing.T) {
	got := explained(t, explain.Request{URL: "http://shop.example:8080/cart/1?x", Headers: []string{"env: canary"}})
	want := `GET http://shop.example:8080/cart/1?x
  address   127.0.0.1:8080
  listener  default/gw/http
  hostname  shop.example
  route     httproute/default/shop
  rule      0 "canary", match 0: PathPrefix /cart, header env = "canary"
  filter    request headers add X-Canary=yes
  filter    rewrite prefix="/basket"
  filter    mirror service/default/log:80 1/10
  backend   service/default/web:80, 9 of 10 requests
              sends GET shop.example:8080/basket/1?x
              with env: canary
              with X-Canary: yes
              to 10.0.0.1:80, web.example:81 (terminating), unix /run/web.sock (not ready)
  backend   service/default/empty:80, 1 of 10 requests
              sends GET shop.example:8080/basket/1?x
              with env: canary
              with X-Canary: yes
              answers 503: the backend has no endpoints

What did not get it, and why
`
	got, lost, _ := strings.Cut(got, "why\n")
	if diff := cmp.Diff(want, got+"why\n"); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, want := range []string{"listener default/gw/other", "httproute/default/shop rule 1, match 0", "httproute/default/shop rule 2, match 0: Exact /old"} {
		if !strings.Contains(lost, want) {
			t.Errorf("no %q in\n%s", want, lost)
		}
	}
}

func TestTheWayOfACall(t *testing.T) {
	got := explained(t, explain.Request{URL: "grpc://cart.example:8080/shop.Cart/Add"})
	want := `POST grpc://cart.example:8080/shop.Cart/Add
  address   127.0.0.1:8080
  listener  default/gw/http
  hostname  cart.example
  route     grpcroute/default/cart
  rule      0, match 0: service shop.Cart, method Add
  backend   service/default/web:80, 1 of 1 requests
              sends POST cart.example:8080/shop.Cart/Add by HTTP/2
              with Content-Type: application/grpc
              to 10.0.0.1:80, web.example:81 (terminating), unix /run/web.sock (not ready)

What did not get it, and why
  listener default/gw/other                                  hostname other.example does not cover "cart.example"
  grpcroute/default/cart rule 1, match 0: service shop.Cart  less specific than rule 0 of grpcroute/default/cart
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		request explain.Request
		want    string
	}{
		"a broken backendRef":       {explain.Request{URL: "shop.example:8080/cart"}, "answers 500: Service default/gone does not exist"},
		"no call of gRPC":           {explain.Request{URL: "http://cart.example:8080/shop.Cart/Add"}, "GET /shop.Cart/Add calls no method of gRPC"},
		"another method":            {explain.Request{URL: "grpc://cart.example:8080/shop.Cart/Get"}, "answers 503: Service default/gone does not exist"},
		"gRPC in TLS":               {explain.Request{URL: "grpcs://cart.example/shop.Cart/Get"}, "no listener of protocol HTTPS"},
		"a redirect":                {explain.Request{URL: "shop.example:8080/old"}, "301 to https://shop.example/old"},
		"no rule":                   {explain.Request{URL: "shop.example:8080/else"}, "404: no rule matches"},
		"no route at the hostname":  {explain.Request{URL: "else.example:8080/"}, "404: no rule matches"},
		"the only socket":           {explain.Request{URL: "http://shop.example/old"}, "nothing listens on port 80; taken is 127.0.0.1:8080"},
		"Host before URL":           {explain.Request{URL: "127.0.0.1:8080/old", Headers: []string{"Host: shop.example"}}, "301 to https://shop.example/old"},
		"another port":              {explain.Request{URL: "shop.example:81/"}, "nothing listens on port 81; write a port in the URL: listeners are on 127.0.0.1:8080"},
		"a path that is refused":    {explain.Request{URL: "shop.example:8080/%00"}, "answered with 400"},
		"a method that is none":     {explain.Request{Method: "G T", URL: "shop.example:8080/"}, "answered with 400: "},
		"CONNECT":                   {explain.Request{Method: "CONNECT", URL: "shop.example:8080/"}, "answered with 501: "},
		"a header that is none":     {explain.Request{URL: "shop.example:8080/", Headers: []string{"a b: c"}}, "answered with 400: "},
		"a header in two lines":     {explain.Request{URL: "shop.example:8080/", Headers: []string{"a: b\r\nc: d"}}, "holds the end of a line"},
		"an expectation":            {explain.Request{URL: "shop.example:8080/", Headers: []string{"Expect: 200"}}, "answered with 417: "},
		"a Host that is none":       {explain.Request{URL: "shop.example:8080/", Headers: []string{"Host: a b"}}, "answered with 400: "},
		"a scheme that is not HTTP": {explain.Request{URL: "ftp://shop.example/"}, "scheme ftp is not served"},
		"HTTPS where there is none": {explain.Request{URL: "https://shop.example/"}, "no listener of protocol HTTPS"},
		"no header":                 {explain.Request{URL: "shop.example", Headers: []string{"env=canary"}}, "write 'name: value'"},
		"no host":                   {explain.Request{URL: "http:///cart"}, "URL http:///cart: "},
	} {
		if got := explained(t, c.request); !strings.Contains(got, c.want) {
			t.Errorf("%s: no %q in\n%s", name, c.want, got)
		}
	}
}

// In a cluster Gateways have the same port, and replicas another for each.
func TestPortOfAReplica(t *testing.T) {
	c := &config.Delta{Version: 1, Reset: true}
	for i, name := range []string{"default/first/http", "default/second/http"} {
		c.Listeners = append(c.Listeners, &config.Listener{Name: name, Port: 80, BindPort: 10000 + uint16(i), Protocol: config.ProtocolHTTP})
	}
	var table *route.Table[struct{}]
	table, err := table.Apply(c, func(*config.Route, *config.Rule) struct{} { return struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{
		"http://shop.example:10001/": "default/second/http",
		"http://shop.example:80/":    "default/first/http",
	} {
		e, err := explain.Explain(table, c, explain.Request{URL: url})
		if err != nil || e.Listener != want {
			t.Errorf("%s: listener %q (%v), want %s", url, e.Listener, err, want)
		}
	}
}
