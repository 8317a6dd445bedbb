package observe

import (
	"net/netip"
	"testing"
	"time"
)

func BenchmarkEncode(b *testing.B) {
	r := &Request{
		Start: time.Now(), Duration: 1500 * time.Microsecond, UpstreamDuration: 1200 * time.Microsecond,
		Listener: "default/gw/http", Route: "httproute/default/shop", Rule: 2, RuleName: "cart",
		Backend: "service/default/web:80", Endpoint: "10.0.0.1:8080",
		Method: "GET", Scheme: "http", Host: "shop.example", Path: "/cart", Protocol: "HTTP/1.1",
		Status: 200, ResponseBytes: 12, Client: netip.MustParseAddrPort("192.0.2.1:40000"),
		RequestID: "6f1c0b3e-1a51-4bcb-b6a2-0c5b9dc4fd3a", Attempts: 1,
	}
	for name, encode := range map[string]func([]byte, *Request) []byte{"json": appendJSON, "text": appendText} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for b.Loop() {
				buf = encode(buf[:0], r)
			}
		})
	}
}
