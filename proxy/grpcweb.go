package proxy

import (
	"io"

	"github.com/sluicegateway/sluice/proxy/grpc"
	"github.com/sluicegateway/sluice/proxy/message"
)

// beginWeb makes a request of gRPC-Web to a GRPCRoute one of gRPC.
func (x *exchange) beginWeb() {
	web, ok := grpc.WebOf(x.req.Header.Get(contentType))
	if !ok {
		return
	}
	x.web = new(web)
	x.req.Header.Set(contentType, web.RequestType())
	x.req.Header.Del("X-Grpc-Web")
	x.req.AcceptTrailers = true
	if web.Text && x.req.BodyLength != 0 {
		x.req.BodyLength = message.LengthUnknown
		x.reqBody.text = new(grpc.TextDecoder)
	}
}

// endWeb makes the head of a response in gRPC one of gRPC-Web, whose body will
// have the trailer. It reports whether the response is to be sent by sendWeb.
func (x *exchange) endWeb() bool {
	if x.web == nil || !grpc.Is(x.resp.Header.Get(contentType)) {
		return false
	}
	x.resp.Header.Set(contentType, x.web.ResponseType())
	if x.resp.BodyLength == 0 { // the header has the status
		return false
	}
	x.resp.Header.Del("Trailer") // none follows the body
	x.resp.BodyLength = message.LengthUnknown
	return true
}

// sendWeb moves the body to its end, and then the trailer as the last part of
// it. The error is as copyBody's.
func (x *exchange) sendWeb() (written bool, err error) {
	w := webWriter{to: &x.to, text: x.web.Text}
	for {
		data, err := x.respBody.next()
		if err == io.EOF {
			if err := w.put(grpc.AppendTrailer(nil, x.respBody.trailer())); err != nil {
				return true, err
			}
			return true, w.finish()
		}
		if err != nil {
			return false, err
		}
		if err := w.put(data); err != nil {
			return true, err
		}
		if !x.respBody.buffered() {
			if err := w.flush(); err != nil {
				return true, err
			}
		}
	}
}

// webWriter writes the body of a response of gRPC-Web.
type webWriter struct {
	to      *bodyWriter
	text    bool
	encoder grpc.TextEncoder
	encoded []byte
}

func (w *webWriter) put(data []byte) error {
	if !w.text {
		return w.to.put(data)
	}
	w.encoded = w.encoder.Append(w.encoded[:0], data)
	return w.to.put(w.encoded)
}

// pad ends the text, so that the client can read all of it.
func (w *webWriter) pad() error {
	w.encoded = w.encoder.Flush(w.encoded[:0])
	if len(w.encoded) == 0 {
		return nil
	}
	return w.to.put(w.encoded)
}

func (w *webWriter) flush() error {
	if err := w.pad(); err != nil {
		return err
	}
	return w.to.flush()
}

func (w *webWriter) finish() error {
	if err := w.pad(); err != nil {
		return err
	}
	return w.to.finish(nil)
}
