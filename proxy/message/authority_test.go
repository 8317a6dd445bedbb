package message_test

import (
	"testing"

	"github.com/sluicegateway/sluice/proxy/message"
)

func TestRFC3986_3_2_Authority(t *testing.T) {
	const invalid = ""
	for _, c := range []struct{ name, raw, want, host string }{
		{"name", "shop.example", "shop.example", "shop.example"},
		{"upper case", "Shop.EXAMPLE:8080", "shop.example:8080", "shop.example"},
		{"one label", "localhost", "localhost", "localhost"},
		{"underscore", "my_service.default", "my_service.default", "my_service.default"},
		{"IPv4", "192.0.2.1:80", "192.0.2.1:80", "192.0.2.1"},
		{"IPv6", "[2001:DB8::1]", "[2001:db8::1]", "[2001:db8::1]"},
		{"IPv6 with port", "[::1]:443", "[::1]:443", "[::1]"},
		{"full name", "shop.example.", "shop.example", "shop.example"},
		{"full name with port", "shop.example.:80", "shop.example:80", "shop.example"},
		{"largest port", "a:65535", "a:65535", "a"},

		{"empty", "", invalid, ""},
		{"only a port", ":80", invalid, ""},
		{"only a dot", ".", invalid, ""},
		{"two dots at the end", "a..", invalid, ""},
		{"empty label", "a..b", invalid, ""},
		{"leading dot", ".a", invalid, ""},
		{"empty port", "a:", invalid, ""},
		{"port 0", "a:0", invalid, ""},
		{"port with leading zero", "a:080", invalid, ""},
		{"port too large", "a:65536", invalid, ""},
		{"port with sign", "a:+80", invalid, ""},
		{"port of letters", "a:http", invalid, ""},
		{"two ports", "a:80:80", invalid, ""},
		{"list", "a, b", invalid, ""},
		{"list without space", "a,b", invalid, ""},
		{"user information", "user@a", invalid, ""},
		{"user and password", "user:80@a", invalid, ""},
		{"path", "a/b", invalid, ""},
		{"query", "a?b", invalid, ""},
		{"fragment", "a#b", invalid, ""},
		{"backslash", `a\b`, invalid, ""},
		{"space", "a b", invalid, ""},
		{"percent-encoding", "a%2eb", invalid, ""},
		{"no ASCII", "caf\u00e9.example", invalid, ""},
		{"NUL", "a\x00b", invalid, ""},
		{"IPv6 without brackets", "::1", invalid, ""},
		{"IPv6 not closed", "[::1", invalid, ""},
		{"IPv6 not opened", "::1]", invalid, ""},
		{"IPv6 zone", "[fe80::1%eth0]", invalid, ""},
		{"IPv4 in brackets", "[192.0.2.1]", invalid, ""},
		{"future address", "[v1.x]", invalid, ""},
		{"text behind the bracket", "[::1]x", invalid, ""},
		{"text behind the bracket with port", "[::1]x:80", invalid, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := message.NormalizeAuthority(c.raw)
			if got != c.want || (err == nil) != (c.want != invalid) {
				t.Fatalf("NormalizeAuthority(%q) = %q, %v; want %q", c.raw, got, err, c.want)
			}
			r := message.Request{Authority: got}
			if host := r.Host(); host != c.host {
				t.Errorf("Host = %q, want %q", host, c.host)
			}
		})
	}
}

func TestRequestPort(t *testing.T) {
	for authority, want := range map[string]uint16{"": 0, "a": 0, "a:81": 81, "[::1]": 0, "[::1]:82": 82} {
		if got := (&message.Request{Authority: authority}).Port(); got != want {
			t.Errorf("Port of %q = %d, want %d", authority, got, want)
		}
	}
}

func FuzzNormalizeAuthority(f *testing.F) {
	for _, s := range []string{"shop.example:80", "[::1]:443", "a..", "A.b.", "user@a", "[fe80::1%25en0]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		once, err := message.NormalizeAuthority(raw)
		if err != nil {
			return
		}
		twice, err := message.NormalizeAuthority(once)
		if err != nil || once != twice {
			t.Errorf("%q became %q, then %q, %v", raw, once, twice, err)
		}
	})
}
