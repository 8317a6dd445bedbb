package message_test

import (
	"reflect"
	"testing"
	"unsafe"

	"github.com/sluicegateway/sluice/proxy/message"
)

func request() *message.Request {
	return &message.Request{
		Method: "POST", Scheme: "http", Authority: "shop.example:8080", Path: "/cart", Query: "a=1", HasQuery: true,
		Major: 1, Minor: 1, Header: *header("Accept", "*/*", "X-Empty", ""), BodyLength: 7,
		Close: true, ExpectContinue: true, AcceptTrailers: true, Upgrade: "websocket",
	}
}

func TestRequestCloneSharesNoMemory(t *testing.T) {
	buf := []byte("POST/cartAcceptvalue")
	view := func(from, to int) string { return unsafe.String(&buf[from], to-from) }
	r := request()
	r.Method, r.Path = view(0, 4), view(4, 9)
	r.Header = *header(view(9, 15), view(15, 20))

	c := r.Clone()
	if !reflect.DeepEqual(c, r) {
		t.Fatalf("clone = %+v, want %+v", c, r)
	}
	for i := range buf {
		buf[i] = '!'
	}
	r.Header.Set("other", "field")
	if c.Method != "POST" || c.Path != "/cart" || len(c.Header.Fields) != 1 || c.Header.Get("accept") != "value" {
		t.Errorf("the clone changed with its original: %+v", c)
	}
}

func TestResetKeepsOnlyMemory(t *testing.T) {
	r := request()
	room := cap(r.Header.Fields)
	if r.Reset(); cap(r.Header.Fields) != room {
		t.Error("the request's header lost its memory")
	}
	r.Header.Fields = nil
	if !reflect.DeepEqual(r, &message.Request{}) {
		t.Errorf("the request kept %+v", r)
	}

	resp := &message.Response{Status: 200, Reason: "OK", Header: *header("A", "1"), BodyLength: 1, UntilClose: true, DeclaredLength: 2, Close: true}
	resp.Reset()
	resp.Header.Fields = nil
	if !reflect.DeepEqual(resp, &message.Response{}) {
		t.Errorf("the response kept %+v", resp)
	}
}

func BenchmarkRequestClone(b *testing.B) {
	r := request()
	b.ReportAllocs()
	for b.Loop() {
		r.Clone()
	}
}
