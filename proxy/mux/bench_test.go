package mux_test

import (
	"io"
	"testing"

	"github.com/sluicegateway/sluice/proxy/message"
	"github.com/sluicegateway/sluice/proxy/mux"
)

// A request of one session answered by another one, both on one loop.
func BenchmarkRoundTrip(b *testing.B) {
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			b.ReportAllocs()
			w := newWorld(b, e)
			body := []byte("hello")
			answer := message.Response{Status: 200, BodyLength: int64(len(body))}
			answer.Header.Add("content-type", "text/plain")
			var taken message.Request
			addr := w.listen(nil, func(st *mux.Stream) {
				st.Request(&taken)
				if st.WriteResponse(&answer, false) == nil {
					st.Write(body)
					st.End(nil)
				}
			})
			w.do(func() {
				s, err := w.connect(addr)
				if err != nil {
					b.Error(err)
					return
				}
				r := request("GET", "/some/path")
				r.Header.Add("accept", "text/plain")
				var response message.Response
				for b.Loop() {
					if err := roundTrip(s, &r, &response); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

func roundTrip(s *mux.Session, r *message.Request, response *message.Response) error {
	st, err := s.Open()
	if err != nil {
		return err
	}
	defer st.Close()
	if err := st.WriteRequest(r, true); err != nil {
		return err
	}
	if err := st.ReadResponse(response); err != nil {
		return err
	}
	for {
		if _, err := st.Next(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}
