package mux_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/sluicegateway/sluice/proxy/message"
	"github.com/sluicegateway/sluice/proxy/mux"
)

// echo answers with the request's method, path and body.
func echo(st *mux.Stream) {
	var r message.Request
	st.Request(&r)
	answer := message.Response{Status: 200, BodyLength: message.LengthUnknown}
	answer.Header.Add("x-request", r.Method+" "+r.Path)
	if err := st.WriteResponse(&answer, false); err != nil {
		return
	}
	for {
		p, err := st.Next()
		if err != nil {
			break
		}
		if _, err := st.Write(p); err != nil {
			return
		}
	}
	st.End(st.Trailer())
}

// client is Go's own, over connections of the world's network.
func (w *world) client(addr netip.AddrPort) *http.Client {
	transport := &http.Transport{
		Protocols: new(http.Protocols),
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return w.network.Dial(ctx, "tcp", addr.String())
		},
	}
	transport.Protocols.SetUnencryptedHTTP2(true)
	w.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestGoClient(t *testing.T) {
	onSockets(t, func(t *testing.T, w *world) {
		client := w.client(w.listen(nil, echo))
		for _, size := range []int{0, 1, 1000, 100_000, 3 << 20} {
			t.Run(fmt.Sprint(size), func(t *testing.T) {
				body := bytes.Repeat([]byte("sluice"), size/6+1)[:size]
				request, _ := http.NewRequest("POST", "http://a.example/p/q?r", bytes.NewReader(body))
				if size > 0 { // without a body, the client forgets to end its stream
					request.Trailer = http.Header{"X-Sum": {"12"}}
				}
				response, err := client.Do(request)
				if err != nil {
					t.Fatal(err)
				}
				defer response.Body.Close()
				got, err := io.ReadAll(response.Body)
				if err != nil || !bytes.Equal(got, body) {
					t.Errorf("%d bytes came back, error %v; want %d", len(got), err, size)
				}
				if response.Header.Get("X-Request") != "POST /p/q" {
					t.Errorf("header %v", response.Header)
				}
			})
		}
		response, err := client.Get("http://a.example/")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if got, err := io.ReadAll(response.Body); err != nil || len(got) != 0 {
			t.Errorf("GET: %q, %v", got, err)
		}
		if !strings.HasPrefix(response.Proto, "HTTP/2") {
			t.Errorf("protocol %v", response.Proto)
		}
	})
}
