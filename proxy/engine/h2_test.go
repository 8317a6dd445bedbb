package engine_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/textproto"
	"strings"
	"sync"
	"testing"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/engine"
)

// both are the versions of HTTP that a client or a backend may speak.
var both = []int{1, 2}

// protocols is one version of HTTP, in clear text and in TLS.
func protocols(major int) *http.Protocols {
	var p http.Protocols
	p.SetHTTP1(major == 1)
	p.SetHTTP2(major == 2)
	p.SetUnencryptedHTTP2(major == 2)
	return &p
}

// user is a client of the gateway that speaks one version.
func (g *gateway) user(major int) *http.Client {
	transport := &http.Transport{
		Protocols:          protocols(major),
		DisableCompression: true,
		TLSClientConfig:    &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return g.network.Dial(ctx, "tcp", g.addr.String())
		},
	}
	g.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// originOf starts a backend that speaks one version.
func (g *gateway) originOf(major int, h http.HandlerFunc) netip.AddrPort {
	l := g.listen()
	var serving sync.WaitGroup
	// One stream takes no more than its share of what the connection's window allows.
	server := &http.Server{Protocols: protocols(major), HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 256 << 10}, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serving.Add(1)
		defer serving.Done()
		if r.ProtoMajor != major {
			g.Errorf("the backend was spoken to in %s", r.Proto)
		}
		h(w, r)
	})}
	serving.Go(func() { server.Serve(l) })
	g.Cleanup(func() {
		server.Close()
		serving.Wait()
	})
	return netip.MustParseAddrPort(l.Addr().String())
}

// serveVersion is serve for a backend of one version.
func (g *gateway) serveVersion(major int, origin netip.AddrPort, rule config.Rule) {
	g.Helper()
	g.serve(origin, rule)
	if major == 2 {
		b := backend("service/default/web:80", origin)
		b.Protocol = config.AppH2C
		g.apply(config.Delta{Backends: []*config.Backend{b}})
	}
}

// pair is a client and a backend, each of one version.
type pair struct {
	*gateway
	client *http.Client
	user   int
	origin int
}

func (p *pair) serve(rule config.Rule, h http.HandlerFunc) {
	p.Helper()
	p.serveVersion(p.origin, p.originOf(p.origin, h), rule)
}

// inVersions runs a test for all pairs of versions, on both kinds of loops.
func inVersions(t *testing.T, fn func(p *pair)) {
	t.Helper()
	for _, user := range []int{1, 2, 3} {
		for _, origin := range both {
			for _, kind := range []string{"epoll", "portable"} {
				t.Run(fmt.Sprintf("%d to %d/%s", user, origin, kind), func(t *testing.T) {
					t.Parallel()
					g := newGateway(t, engine.Options{Portable: kind == "portable", Workers: 2})
					client := g.user(user)
					if user == 3 {
						client = g.speaking3(config.ClientSettings{}).user3(nil)
					}
					fn(&pair{g, client, user, origin})
				})
			}
		}
	}
}

// scheme is that of the client's requests: HTTP/3 has no other than https.
func (p *pair) scheme() string {
	if p.user == 3 {
		return "https"
	}
	return "http"
}

// do sends a request and reads the whole response.
func (p *pair) do(r *http.Request) (*http.Response, string) {
	p.Helper()
	resp, err := p.client.Do(r)
	if err != nil {
		p.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.Fatalf("%s %s: reading the body: %v", r.Method, r.URL, err)
	}
	if resp.ProtoMajor != p.user {
		p.Fatalf("the gateway answered in %s", resp.Proto)
	}
	return resp, string(body)
}

func request(method, path string, body io.Reader) *http.Request {
	r, err := http.NewRequest(method, "http://web.example"+path, body)
	if err != nil {
		panic(err)
	}
	return r
}

// unsized hides the length of a body.
type unsized struct{ io.Reader }

func TestRequestsInAllVersions(t *testing.T) {
	inVersions(t, func(p *pair) {
		p.serve(config.Rule{}, func(w http.ResponseWriter, r *http.Request) {
			h := r.Header
			for name, want := range map[string]string{
				"Via": map[int]string{1: "1.1 sluice", 2: "2 sluice", 3: "3 sluice"}[p.user], "X-Forwarded-Proto": p.scheme(), "X-Forwarded-Host": "web.example", "X-Long": strings.Repeat("x", 20<<10),
				"Cookie": "a=1; b=2", "Priority": "u=1",
			} {
				if got := strings.Join(h[name], "|"); got != want {
					p.Errorf("%s: %.100q reached the backend, want %.100q", name, got, want)
				}
			}
			if r.Host != "web.example" || len(h["X-Twice"]) != 2 {
				p.Errorf("host %q, fields %q", r.Host, h["X-Twice"])
			}
			w.Header()["Set-Cookie"] = []string{"c=1", "d=2"}
			fmt.Fprintf(w, "%s %s", r.Method, r.URL)
		})
		for i := range 3 {
			r := request("GET", fmt.Sprintf("/path/%d?q=%%20", i), nil)
			r.Header = http.Header{"X-Twice": {"1", "2"}, "X-Long": {strings.Repeat("x", 20<<10)}, "Cookie": {"a=1; b=2"}, "Priority": {"u=1"}, "X-Forwarded-Host": {"evil"}}
			resp, body := p.do(r)
			if want := fmt.Sprintf("GET /path/%d?q=%%20", i); resp.StatusCode != 200 || body != want {
				p.Errorf("got %d %q, want %q", resp.StatusCode, body, want)
			}
			if len(resp.Header["Set-Cookie"]) != 2 || resp.Header.Get("Date") == "" || resp.ContentLength != int64(len(body)) {
				p.Errorf("the response has %v and length %d", resp.Header, resp.ContentLength)
			}
		}
	})
}

func TestBodiesInAllVersions(t *testing.T) {
	inVersions(t, func(p *pair) {
		p.serve(config.Rule{}, func(w http.ResponseWriter, r *http.Request) {
			if p.origin == 1 {
				http.NewResponseController(w).EnableFullDuplex()
			}
			if r.ContentLength >= 0 {
				w.Header().Set("Content-Length", fmt.Sprint(r.ContentLength))
			}
			w.Header().Set("X-Length", fmt.Sprint(r.ContentLength))
			if _, err := io.Copy(w, r.Body); err != nil {
				p.Errorf("the backend: %v", err)
			}
		})
		for _, size := range []int{0, 1, 1000, 100_000, 3 << 20} {
			text := strings.Repeat("0123456789abcdef", size/16+1)[:size]
			for _, body := range []io.Reader{strings.NewReader(text), unsized{strings.NewReader(text)}} {
				resp, got := p.do(request("POST", "/", body))
				length := fmt.Sprint(size)
				if _, ok := body.(unsized); ok && size > 0 {
					length = "-1"
				}
				if resp.StatusCode != 200 || got != text || size > 0 && resp.Header.Get("X-Length") != length {
					p.Errorf("%d bytes of length %s: got %d, %d bytes, and the backend saw length %s", size, length, resp.StatusCode, len(got), resp.Header.Get("X-Length"))
				}
			}
		}
	})
}

// RFC 9110 section 6.5: trailer fields pass from chunks to HEADERS and back.
func TestTrailersInAllVersions(t *testing.T) {
	inVersions(t, func(p *pair) {
		if p.origin == 1 {
			p.serve(config.Rule{}, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				w.Write(body)
				w.(http.Flusher).Flush()
				w.Header().Set(http.TrailerPrefix+"X-Sum", r.Trailer.Get("X-Sum")+" and response")
			})
		} else { // net/http takes no trailers that were not announced
			p.serveVersion(2, p.framesOrigin(func(f *framer) {
				f.until(func() bool { return f.ended[1] })
				f.head(1, false, ":status", "200")
				f.WriteData(1, false, []byte(f.bodies[1]))
				f.head(1, true, "x-sum", f.heads[1][len(f.heads[1])-1]["x-sum"]+" and response")
				for f.next() {
				}
			}), config.Rule{})
		}
		r := request("POST", "/", unsized{strings.NewReader("body")})
		r.Header.Set("Te", "trailers")
		r.Trailer = http.Header{"X-Sum": {"request"}}
		resp, body := p.do(r)
		if body != "body" || resp.Trailer.Get("X-Sum") != "request and response" {
			p.Errorf("got %q with trailers %v", body, resp.Trailer)
		}
	})
}

// RFC 9110 section 6.6.2: what announces trailers passes with them. Servers of
// net/http show their handlers no others.
func TestAnnouncedTrailersInAllVersions(t *testing.T) {
	inVersions(t, func(p *pair) {
		p.serve(config.Rule{}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			body, _ := io.ReadAll(r.Body)
			w.Write(body)
			w.(http.Flusher).Flush()
			w.Header().Set("X-Sum", r.Trailer.Get("X-Sum")+" and response")
		})
		r := request("POST", "/", unsized{strings.NewReader("body")})
		r.Trailer = http.Header{"X-Sum": {"request"}}
		resp, body := p.do(r)
		if body != "body" || resp.Trailer.Get("X-Sum") != "request and response" {
			p.Errorf("got %q with trailers %v", body, resp.Trailer)
		}
	})
}

// An empty body may have trailers, also one that a Content-Length says to be
// empty: backends of gRPC send their status like that.
func TestTrailersBehindAnEmptyBody(t *testing.T) {
	inVersions(t, func(p *pair) {
		if p.origin == 1 {
			return
		}
		p.serveVersion(2, p.framesOrigin(func(f *framer) {
			for id := uint32(1); f.next(); {
				for ; f.ended[id]; id += 2 {
					f.head(id, false, ":status", "200", "content-length", "0", "content-type", "application/grpc")
					if f.heads[id][0][":path"] == "/call" {
						f.head(id, true, "grpc-status", "7")
					} else {
						f.WriteData(id, true, nil)
					}
				}
			}
		}), config.Rule{})
		for path, want := range map[string]string{"/call": "7", "/none": ""} {
			resp, body := p.do(request("GET", path, nil))
			if resp.StatusCode != 200 || body != "" || resp.Trailer.Get("Grpc-Status") != want {
				p.Errorf("%s: got %v %q with trailers %v", path, resp, body, resp.Trailer)
			}
		}
	})
}

// RFC 9110 section 15.2.
func TestInterimResponsesInAllVersions(t *testing.T) {
	inVersions(t, func(p *pair) {
		p.serve(config.Rule{}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", "</style.css>")
			w.WriteHeader(103)
			w.Header().Del("Link")
			io.Copy(w, r.Body)
		})
		var hints []string
		r := request("POST", "/", strings.NewReader("body"))
		r.Header.Set("Expect", "100-continue")
		r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			hints = append(hints, fmt.Sprint(code, h.Get("Link")))
			return nil
		}}))
		if _, body := p.do(r); body != "body" || !strings.Contains(strings.Join(hints, " "), "103</style.css>") {
			p.Errorf("got %q after %q", body, hints)
		}
	})
}

func TestResponsesWithoutBodiesInAllVersions(t *testing.T) {
	inVersions(t, func(p *pair) {
		p.serve(config.Rule{}, func(w http.ResponseWriter, r *http.Request) {
			var status int
			fmt.Sscanf(r.URL.Path, "/%d", &status)
			if status == 200 {
				w.Header().Set("Content-Length", "42")
			}
			w.WriteHeader(status)
		})
		for range 2 { // over kept connections
			for status, length := range map[int]int64{200: 42, 204: 0, 304: 0} {
				method := "GET"
				if status == 200 {
					method = "HEAD"
				}
				if resp, body := p.do(request(method, fmt.Sprintf("/%d", status), nil)); resp.StatusCode != status || body != "" || status == 200 && resp.ContentLength != length {
					p.Errorf("%d: got %d, length %d, body %q", status, resp.StatusCode, resp.ContentLength, body)
				}
			}
		}
	})
}

// What the gateway answers itself is an answer in each version.
func TestOwnAnswersInAllVersions(t *testing.T) {
	inVersions(t, func(p *pair) {
		origin := p.originOf(p.origin, hello)
		p.serveVersion(p.origin, origin, config.Rule{Filters: config.Filters{Redirect: &config.Redirect{Status: 302, Hostname: "other.example"}}})
		if resp, _ := p.do(request("GET", "/x", nil)); resp.StatusCode != 302 || resp.Header.Get("Location") != fmt.Sprintf("%s://other.example:%d/x", p.scheme(), p.addr.Port()) {
			p.Errorf("got %d, location %q", resp.StatusCode, resp.Header.Get("Location"))
		}
		b := backend("service/default/web:80")
		b.Fault = &config.Fault{Status: 503, Reason: "test"}
		p.serve(config.Rule{}, hello)
		p.apply(config.Delta{Backends: []*config.Backend{b}})
		for range 2 {
			if resp, body := p.do(request("GET", "/", nil)); resp.StatusCode != 503 || body != "503 Service Unavailable\n" {
				p.Errorf("got %d %q", resp.StatusCode, body)
			}
		}
	})
}

// A client that gives a stream up takes its request to the backend with it. (One
// of HTTP/1.1 that closes its connection may still read the response.)
func TestCanceledStreams(t *testing.T) {
	inVersions(t, func(p *pair) {
		if p.user == 1 {
			return
		}
		began, ended := make(chan bool), make(chan error, 1)
		p.serve(config.Rule{}, func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			began <- true
			<-r.Context().Done()
			ended <- r.Context().Err()
		})
		ctx, cancel := context.WithCancel(context.Background())
		resp, err := p.client.Do(request("GET", "/", nil).WithContext(ctx))
		if err != nil {
			p.Fatal(err)
		}
		<-began
		cancel()
		<-ended
		resp.Body.Close()
	})
}

// A response that is cut short is not taken for a whole one.
func TestCutResponsesInAllVersions(t *testing.T) {
	inVersions(t, func(p *pair) {
		p.serve(config.Rule{}, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "half")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		})
		for range 3 {
			resp, err := p.client.Do(request("GET", "/", nil))
			if err != nil {
				continue // the reset was faster than the head
			}
			if body, err := io.ReadAll(resp.Body); err == nil {
				p.Errorf("got %q as if that were all", body)
			}
			resp.Body.Close()
		}
	})
}

// A request that is cut short is not taken for a whole one.
func TestCutRequestsInAllVersions(t *testing.T) {
	inVersions(t, func(p *pair) {
		began, got := make(chan bool, 1), make(chan error, 1)
		p.serve(config.Rule{}, func(w http.ResponseWriter, r *http.Request) {
			began <- true
			_, err := io.Copy(io.Discard, r.Body)
			got <- err
		})
		in, out := io.Pipe()
		go func() {
			io.WriteString(out, "half")
			<-began
			out.CloseWithError(errors.New("the test's"))
		}()
		if _, err := p.client.Do(request("POST", "/", in)); err == nil {
			p.Error("a broken request was answered")
		}
		if err := <-got; err == nil {
			p.Error("the backend got a whole request")
		}
	})
}

// Many requests at once, each with the response that is its own.
func TestConcurrentRequestsInAllVersions(t *testing.T) {
	inVersions(t, func(p *pair) {
		p.serve(config.Rule{}, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s", r.URL.Path, body)
		})
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				for j := range 10 {
					path, text := fmt.Sprintf("/%d/%d", i, j), strings.Repeat(fmt.Sprint(i, j), i*j)
					resp, err := p.client.Do(request("PUT", path, strings.NewReader(text)))
					if err != nil {
						p.Error(err)
						return
					}
					body, err := io.ReadAll(resp.Body)
					resp.Body.Close()
					if err != nil || string(body) != path+" "+text {
						p.Errorf("%s: got %d %.50q, %v", path, resp.StatusCode, body, err)
					}
				}
			})
		}
		all.Wait()
	})
}
