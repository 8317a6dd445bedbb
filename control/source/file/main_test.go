package file_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluicegateway/sluice/control/source/file"
)

// TestMain lets the test program be its own child process for validation.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == file.WorkerCommand {
		if err := file.ServeValidator(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}
