package message_test

import (
	"testing"

	"github.com/sluicegateway/sluice/proxy/message"
)

func TestRFC9110_8_6_ParseLength(t *testing.T) {
	for value, want := range map[string]int64{"0": 0, "10": 10, "9223372036854775807": 9223372036854775807} {
		if n, ok := message.ParseLength(value); n != want || !ok {
			t.Errorf("%q: %d, %v", value, n, ok)
		}
	}
	for _, value := range []string{"", " 1", "+1", "-1", "01", "1_0", "0x1", "1,1", "1 ", "9223372036854775808", "\u0661"} {
		if n, ok := message.ParseLength(value); ok {
			t.Errorf("%q: %d", value, n)
		}
	}
}

func TestKindOf(t *testing.T) {
	for name, want := range map[string]message.FieldKind{
		"connection": message.FieldConnection, "Content-Length": message.FieldContentLength, "EXPECT": message.FieldExpect, "host": message.FieldHost,
		"te": message.FieldTE, "Transfer-Encoding": message.FieldTransferEncoding, "trailer": message.EndToEnd, "upgrade": message.FieldUpgrade,
		"keep-alive": message.FieldDropped, "proxy-connection": message.FieldDropped, "http2-settings": message.FieldDropped,
		"": message.EndToEnd, "hos\u212a": message.EndToEnd, "content-lengt": message.EndToEnd, "content-length ": message.EndToEnd, "x-host": message.EndToEnd,
	} {
		if got := message.KindOf(name); got != want {
			t.Errorf("%q: %d, want %d", name, got, want)
		}
	}
}

func TestRFC9110_6_5_1_Essential(t *testing.T) {
	for name, want := range map[string]bool{
		"host": true, "content-type": true, "If-Match": true, "x-forwarded-for": true, "sec-websocket-key": true, "Set-Cookie": true, "x-real-ip": true,
		"grpc-status": false, "x-checksum": false, "contents": false, "etag": false, "": false,
	} {
		if got := message.Essential(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

func TestRFC9110_5_SyntaxOfFields(t *testing.T) {
	for s, want := range map[string]bool{"a": true, "!#$%&'*+-.^_`|~09azAZ": true, "": false, "a b": false, "a:": false, "\x80": false, "a\x00": false} {
		if got := message.IsToken(s); got != want {
			t.Errorf("IsToken(%q) = %v", s, got)
		}
	}
	for i := range 20 { // each place in and behind the words of eight bytes
		for c := range 256 {
			b := []byte("abcdefghijklmnopqrst")
			b[i] = byte(c)
			if got, want := message.Printable(string(b)), c == '\t' || c >= ' ' && c != 0x7F; got != want {
				t.Fatalf("Printable with %#x at %d = %v", c, i, got)
			}
		}
	}
	for s, want := range map[string]bool{"": true, "a=[1]|\\": true, "#": false, "a b": false, "\x7f": false, "\u00e9": false} {
		if got := message.ValidQuery(s); got != want {
			t.Errorf("ValidQuery(%q) = %v", s, got)
		}
	}
}
