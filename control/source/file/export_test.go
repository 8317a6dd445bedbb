package file

import (
	"testing"
	"time"
)

// LimitSilence sets how long a child may say nothing, until the test ends.
func LimitSilence(t *testing.T, limit time.Duration) {
	before := silence
	silence = limit
	t.Cleanup(func() { silence = before })
}
