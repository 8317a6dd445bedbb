package http2_test

import (
	"bytes"
	"errors"
	"testing"

	"golang.org/x/net/http2/hpack"

	"github.com/sluicegateway/sluice/proxy/http2"
	"github.com/sluicegateway/sluice/proxy/message"
)

// coded is a block with pairs of names and values, as any peer could send it.
func coded(pairs ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for i := 0; i < len(pairs); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return b.Bytes()
}

// request is the block of GET / for shop.example, with more fields.
func request(pairs ...string) []byte {
	return coded(append([]string{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "shop.example"}, pairs...)...)
}

func header(pairs ...string) (h message.Header) {
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

// fields are those of a block in frames, as a decoder that holds no rules reads them.
func fields(t *testing.T, d *hpack.Decoder, frames []byte, maxPayload uint32) (pairs []string, ended bool) {
	t.Helper()
	block, ended := join(t, frames, maxPayload)
	list, err := d.DecodeFull(block)
	if err != nil {
		t.Fatalf("%x: %v", block, err)
	}
	for _, f := range list {
		pairs = append(pairs, f.Name, f.Value)
	}
	return pairs, ended
}

// join takes a block out of its HEADERS and CONTINUATION, and holds how they follow.
func join(t *testing.T, frames []byte, maxPayload uint32) (block []byte, endStream bool) {
	t.Helper()
	want, done := http2.FrameHeaders, false
	for len(frames) > 0 {
		f, n, err := http2.ParseFrame(frames, maxPayload)
		if err != nil || n == 0 || f.Type != want || f.Stream != stream || done {
			t.Fatalf("frame %+v, %d, %v; want type %d", f, n, err, want)
		}
		fragment, err := f.HeaderFragment()
		if err != nil {
			t.Fatal(err)
		}
		if f.Type == http2.FrameHeaders {
			endStream = f.Flags.Has(http2.FlagEndStream)
		}
		block, frames, want = append(block, fragment...), frames[n:], http2.FrameContinuation
		done = f.Flags.Has(http2.FlagEndHeaders)
	}
	if !done {
		t.Fatal("the block has no end")
	}
	return block, endStream
}

const stream = 5

// asError is err as the package promises it.
func asError(t *testing.T, err error) *http2.Error {
	t.Helper()
	var e *http2.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v, want an *Error", err)
	}
	return e
}

func TestErrorNamesCodeStreamAndReason(t *testing.T) {
	for _, c := range []struct {
		err  http2.Error
		want string
	}{
		{http2.Error{Code: http2.ProtocolError, Reason: "a"}, "connection error PROTOCOL_ERROR: a"},
		{http2.Error{Code: http2.HTTP11Required, Stream: 3, Reason: "a"}, "stream 3: error HTTP_1_1_REQUIRED: a"},
		{http2.Error{Code: 14, Stream: http2.ThisStream, Reason: "a"}, "stream error code 14: a"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestErrorAtFillsInTheStream(t *testing.T) {
	if got := http2.ErrTooLarge.At(7); got.Stream != 7 || got.Status != 431 || http2.ErrTooLarge.Stream != http2.ThisStream {
		t.Errorf("got %+v, and the shared error %+v", got, http2.ErrTooLarge)
	}
	if e := (&http2.Error{Code: http2.Cancel}); e.At(7) != e {
		t.Error("an error of the connection became one of a stream")
	}
}
