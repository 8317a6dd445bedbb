package page

import "testing"

func TestPrinted(t *testing.T) {
	for _, test := range []struct {
		want, output string
		match        bool
	}{
		{"one\n", "one\n", true},
		{"one\n", "one\ntwo\n", false},
		{"", "one\n", false},
		{"o...e\n", "one\n", true},
		{"o...e\n", "o\ne\n", false},
		{"one\n...\n", "one\n", true},
		{"...\nthree\n", "one\ntwo\nthree\n", true},
		{"a.c\n", "abc\n", false},
		{"a   b\n", "a    b\n", true},
		{"a b\n", "a  b\n", false},
		{"HTTP/1.1 200 OK\n...\n", "HTTP/1.1 200 OK\r\nx: y\r\n\r\n", true},
	} {
		if got := (Step{Want: test.want}).Printed(test.output); got != test.match {
			t.Errorf("%q against %q: got %v, want %v", test.want, test.output, got, test.match)
		}
	}
}
