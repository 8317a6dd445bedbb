package message_test

import (
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/sluicegateway/sluice/proxy/message"
)

func TestNormalizePath(t *testing.T) {
	const refused = ""
	for _, c := range []struct{ name, raw, want string }{
		{"root", "/", "/"},
		{"plain", "/a/b-c_d.e~f", "/a/b-c_d.e~f"},
		{"all of pchar", "/!$&'()*+,;=:@", "/!$&'()*+,;=:@"},
		{"dot in a name", "/.well-known/a.b/..c/d../...", "/.well-known/a.b/..c/d../..."},
		{"empty segments stay", "//a///b//", "//a///b//"},
		{"parameters stay", "/a;v=1/b;c", "/a;v=1/b;c"},

		// RFC 3986 section 5.2.4
		{"dot", "/a/./b", "/a/b"},
		{"dot at the end", "/a/.", "/a/"},
		{"dot dot", "/a/b/../c", "/a/c"},
		{"dot dot at the end", "/a/b/..", "/a/"},
		{"only dots", "/..", "/"},
		{"past the root", "/../../a", "/a"},
		{"past the root, deeper", "/a/../../../b", "/b"},
		{"over an empty segment", "/a//../b", "/a/b"},
		{"the RFC's own example", "/a/b/c/./../../g", "/a/g"},

		// RFC 3986 section 6.2.2
		{"unreserved is decoded", "/%61%7E%2D%5f", "/a~-_"},
		{"digits get upper case", "/%c3%a9%3a", "/%C3%A9%3A"},
		{"reserved stays encoded", "/%3F%23%25%20", "/%3F%23%25%20"},
		{"encoded dots are dots", "/a/%2e%2E/b", "/b"},
		{"mixed dots are dots", "/a/.%2e/%2e/b", "/b"},
		{"decoded once", "/%252e%252e/%2561", "/%252e%252e/%2561"},
		{"encoded slash stays", "/a%2fb%2F", "/a%2Fb%2F"},
		{"encoded line end stays", "/%0d%0a", "/%0D%0A"},
		{"not allowed in the clear", "/a|b[0]{x}\"<>^`", "/a%7Cb%5B0%5D%7Bx%7D%22%3C%3E%5E%60"},
		{"Latin-1", "/caf%e9", "/caf%E9"},

		{"empty", "", refused},
		{"relative", "a/b", refused},
		{"asterisk", "*", refused},
		{"query", "/a?b", refused},
		{"fragment", "/a#b", refused},
		{"space", "/a b", refused},
		{"tab", "/a\tb", refused},
		{"no ASCII", "/caf\u00e9", refused},
		{"DEL", "/\x7f", refused},
		{"NUL", "/\x00", refused},
		{"encoded NUL", "/a%00.html", refused},
		{"backslash", `/a\..\b`, refused},
		{"encoded backslash", "/a%5c..%5Cb", refused},
		{"cut encoding", "/a%", refused},
		{"cut encoding, one digit", "/a%2", refused},
		{"no hexadecimal digits", "/a%zz", refused},
		{"sign for a digit", "/a%+1", refused},
		{"overlong slash", "/..%c0%af", refused},
		{"overlong dot", "/%C0%AE%c0%ae/", refused},
		{"overlong in three bytes", "/%e0%80%af", refused},
		{"overlong in four bytes", "/%f0%80%80%af", refused},
		{"dots with parameter", "/a/..;/b", refused},
		{"dots with named parameter", "/a/..;x=1/b", refused},
		{"dot with parameter", "/a/.;/b", refused},
		{"encoded dots with parameter", "/a/%2e%2e;/b", refused},
		{"dots with encoded parameter", "/a/..%3b/b", refused},
		{"dots before an encoded slash", "/a/..%2fb", refused},
		{"dots behind an encoded slash", "/a%2f../b", refused},
		{"dots between encoded slashes", "/a%2F..%2fb", refused},
		{"dots with parameter behind an encoded slash", "/a%2f..;x%2fb", refused},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := message.NormalizePath(c.raw)
			if got != c.want || (err == nil) != (c.want != refused) {
				t.Errorf("NormalizePath(%q) = %q, %v; want %q", c.raw, got, err, c.want)
			}
		})
	}
}

func TestNormalizePathLong(t *testing.T) {
	long := "/" + strings.Repeat("a%20", 1000)
	if got, err := message.NormalizePath(long + "/x/%2e%2e"); err != nil || got != long+"/" {
		t.Errorf("got %d bytes, %v; want %d", len(got), err, len(long)+1)
	}
}

func TestNormalizePathAllocatesNothingForNormalPaths(t *testing.T) {
	for _, raw := range []string{"/api/v1/items/42", "/.well-known/x", "/a%20b/%C3%A9"} {
		if n := testing.AllocsPerRun(10, func() { _, _ = message.NormalizePath(raw) }); n != 0 {
			t.Errorf("%q: %v allocations", raw, n)
		}
	}
}

func FuzzNormalizePath(f *testing.F) {
	for _, s := range []string{"/", "/a/../b", "/%2e%2e/%2f..", "/..;/a", "/%c0%ae", "//../..//", "/a%2F.%2e/", "/[|]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		once, err := message.NormalizePath(raw)
		if err != nil {
			return
		}
		if twice, err := message.NormalizePath(once); err != nil || once != twice {
			t.Errorf("%q became %q, then %q, %v", raw, once, twice, err)
		}
		// A server that decodes everything, slashes too, and only then removes
		// dot segments finds none.
		decoded, err := url.PathUnescape(once)
		if err != nil {
			t.Fatalf("%q became %q: %v", raw, once, err)
		}
		for segment := range strings.SplitSeq(decoded, "/") {
			if name, _, _ := strings.Cut(segment, ";"); name == "." || name == ".." {
				t.Errorf("%q became %q, which hides %q", raw, once, segment)
			}
		}
		// The path package resolves in another way; where no slash is encoded
		// or doubled the two agree.
		if clear, err := url.PathUnescape(raw); err == nil && !strings.Contains(strings.ToUpper(raw), "%2F") && !strings.Contains(clear, "//") {
			if want := path.Clean(clear); want != "/" && want != strings.TrimSuffix(decoded, "/") {
				t.Errorf("%q became %q, path.Clean says %q", raw, decoded, want)
			}
		}
	})
}

func BenchmarkNormalizePath(b *testing.B) {
	for _, raw := range []string{"/api/v1/shops/42/carts/items", "/.well-known/acme-challenge/x", "/a/b/../c%7e"} {
		b.Run(raw, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = message.NormalizePath(raw)
			}
		})
	}
}
