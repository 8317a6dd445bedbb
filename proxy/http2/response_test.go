package http2_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluicegateway/sluice/proxy/http2"
	"github.com/sluicegateway/sluice/proxy/message"
)

// situation is what a response answers, and whether it ends the stream.
type situation struct {
	method string
	open   bool
	tunnel bool
}

func TestResponse(t *testing.T) {
	const unknown = message.LengthUnknown
	get, more := situation{method: "GET"}, situation{method: "GET", open: true}
	tunnel := situation{method: "CONNECT", open: true, tunnel: true}
	for _, c := range []struct {
		name string
		in   situation
		list []string
		want message.Response
	}{
		{"no body", get, []string{":status", "200"}, message.Response{Status: 200}},
		{"length 0", more, []string{":status", "404", "content-length", "0"}, message.Response{Status: 404}},
		{"body", more, []string{":status", "200", "server", "a"}, message.Response{Status: 200, BodyLength: unknown, Header: header("server", "a")}},
		{"body with a length", more, []string{":status", "200", "content-length", "5"}, message.Response{Status: 200, BodyLength: 5}},
		{"fields of requests and of connections", get, []string{":status", "200", "host", "a", "expect", "b"}, message.Response{Status: 200}},
		{"underscore and cookies", get, []string{":status", "200", "x_y", "1", "set-cookie", "a", "set-cookie", "b"},
			message.Response{Status: 200, Header: header("x_y", "1", "set-cookie", "a", "set-cookie", "b")}},
		{"HEAD", situation{method: "HEAD"}, []string{":status", "200", "content-length", "5"}, message.Response{Status: 200, DeclaredLength: 5}},
		{"HEAD without a length", situation{method: "HEAD"}, []string{":status", "200"}, message.Response{Status: 200, DeclaredLength: unknown}},
		{"HEAD, ended later", situation{method: "HEAD", open: true}, []string{":status", "200", "content-length", "5"}, message.Response{Status: 200, DeclaredLength: 5}},
		{"304", get, []string{":status", "304", "content-length", "5"}, message.Response{Status: 304, DeclaredLength: 5}},
		{"204", get, []string{":status", "204"}, message.Response{Status: 204, DeclaredLength: unknown}},
		{"103", more, []string{":status", "103", "link", "a"}, message.Response{Status: 103, DeclaredLength: unknown, Header: header("link", "a")}},
		{"WebSocket", tunnel, []string{":status", "200", "sec-websocket-protocol", "a", "sec-websocket-accept", "b", "content-length", "0"},
			message.Response{Status: 101, Upgrade: "websocket", DeclaredLength: unknown, Header: header("sec-websocket-protocol", "a")}},
		{"WebSocket refused", tunnel, []string{":status", "403", "content-length", "2"}, message.Response{Status: 403, BodyLength: 2}},
		{"before a WebSocket", tunnel, []string{":status", "100"}, message.Response{Status: 100, DeclaredLength: unknown}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := message.Response{Reason: "left over", UntilClose: true, Header: header("left", "over")}
			if err := http2.NewDecoder(http2.DefaultLimits).Response(coded(c.list...), !c.in.open, c.in.method, c.in.tunnel, &got); err != nil {
				t.Fatal(err)
			}
			c.want.Major = 2
			if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestResponseRefused(t *testing.T) {
	get, more := situation{method: "GET"}, situation{method: "GET", open: true}
	for _, c := range []struct {
		name string
		in   situation
		list []string
	}{
		{"RFC9113_8_3_2 no status", get, []string{"server", "a"}},
		{"RFC9113_8_3_2 empty status", get, []string{":status", ""}},
		{"RFC9113_8_3_2 status with a reason", get, []string{":status", "200 OK"}},
		{"RFC9113_8_3_2 status of four digits", get, []string{":status", "2000"}},
		{"RFC9113_8_3_2 status with a sign", get, []string{":status", "+20"}},
		{"RFC9110_15 status 099", get, []string{":status", "099"}},
		{"RFC9110_15 status 600", get, []string{":status", "600"}},
		{"RFC9113_8_3 status twice", get, []string{":status", "200", ":status", "200"}},
		{"RFC9113_8_3 late status", get, []string{"server", "a", ":status", "200"}},
		{"RFC9113_8_3 of a request", get, []string{":status", "200", ":path", "/"}},
		{"RFC9113_8_6 101", more, []string{":status", "101"}},
		{"RFC9113_8_6 101 for a tunnel", situation{"CONNECT", true, true}, []string{":status", "101"}},
		{"RFC9113_8_1 interim response at the end", get, []string{":status", "100"}},
		{"RFC9110_8_6 interim response with a length", more, []string{":status", "103", "content-length", "5"}},
		{"RFC9110_8_6 204 with a length", more, []string{":status", "204", "content-length", "5"}},
		{"RFC9113_8_1_1 length without a body", get, []string{":status", "200", "content-length", "5"}},
		{"RFC9113_8_1_1 two lengths", more, []string{":status", "200", "content-length", "5", "content-length", "5"}},
		{"RFC9113_8_2_1 upper case", get, []string{":status", "200", "Server", "a"}},
		{"RFC9113_8_2_1 another response in a value", get, []string{":status", "200", "server", "a\r\n\r\nHTTP/1.1 200 OK"}},
		{"RFC9113_8_2_2 Connection", get, []string{":status", "200", "connection", "close"}},
		{"RFC9113_8_2_2 Transfer-Encoding", get, []string{":status", "200", "transfer-encoding", "chunked"}},
		{"RFC9113_8_2_2 Upgrade", get, []string{":status", "200", "upgrade", "websocket"}},
		{"RFC9113_8_2_2 TE", get, []string{":status", "200", "te", "trailers"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := http2.NewDecoder(http2.DefaultLimits).Response(coded(c.list...), !c.in.open, c.in.method, c.in.tunnel, &message.Response{})
			if e := asError(t, err); e.Code != http2.ProtocolError || e.Stream != http2.ThisStream {
				t.Errorf("got %+v, want PROTOCOL_ERROR of the stream", e)
			}
		})
	}
}

// Names with an underscore are usual in gRPC, and no client confuses them.
func TestTrailerOfResponse(t *testing.T) {
	checkTrailers(t, http2.NewDecoder(http2.DefaultLimits), "x", "1", "x_y", "2")
}
