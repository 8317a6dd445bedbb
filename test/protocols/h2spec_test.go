package protocols

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/generic"
	"github.com/summerwind/h2spec/hpack"
	"github.com/summerwind/h2spec/http2"
	"github.com/summerwind/h2spec/spec"
)

// h2specCases is how many cases h2spec has in its strict mode.
const h2specCases = 146

// TestH2Spec runs every case of h2spec, the strict ones too.
func TestH2Spec(t *testing.T) {
	g := start(t, webServer(t), "", httpRoute)
	for name, c := range map[string]*config.Config{
		"h2c": {Port: g.clear},
		"tls": {Port: g.secure, TLS: true, Insecure: true},
	} {
		c.Host, c.Path, c.Timeout, c.MaxHeaderLen, c.Strict = "127.0.0.1", "/", 2*time.Second, 4000, true
		t.Run(name, func(t *testing.T) {
			cases := 0
			for _, group := range []*spec.TestGroup{generic.Spec(), http2.Spec(), hpack.Spec()} {
				cases += runGroup(t, c, group)
			}
			if cases != h2specCases {
				t.Errorf("%d cases were run, not %d", cases, h2specCases)
			}
		})
	}
}

// runGroup runs the cases of a group and of those within, and counts them.
func runGroup(t *testing.T, c *config.Config, group *spec.TestGroup) (cases int) {
	for i, test := range append(group.Tests, group.StrictTests...) {
		cases++
		t.Run(fmt.Sprintf("%s/%d", group.ID(), i+1), func(t *testing.T) {
			t.Parallel()
			conn, err := spec.Dial(c)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			err = test.Run(c, conn)
			var failed *spec.TestError
			switch {
			case errors.As(err, &failed):
				t.Errorf("%s\n%s\nwant %q\ngot  %s", test.Desc, test.Requirement, failed.Expected, failed.Actual)
			case err != nil: // a skipped case too
				t.Errorf("%s: %v", test.Desc, err)
			}
		})
	}
	for _, within := range group.Groups {
		cases += runGroup(t, c, within)
	}
	return cases
}
