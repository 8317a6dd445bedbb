package file_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluicegateway/sluice/control/source/file"
)

// deadly is a text that the test program dies of when it validates it as a child.
const deadly = "die-of-this"

// TestMain lets the test program be its own child process for validation.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == file.WorkerCommand {
		if err := file.ServeValidator(mortal{os.Stdin}, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// mortal ends the process when it reads the deadly text in one piece.
type mortal struct{ io.Reader }

func (m mortal) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	if bytes.Contains(p[:n], []byte(deadly)) {
		fmt.Fprintln(os.Stderr, "dying as asked")
		os.Exit(3)
	}
	return n, err
}
