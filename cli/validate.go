package cli

import (
	"os"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sluicegateway/sluice/control/source/file"
)

// validateWorkerCommand is the child process in which run validates objects, so
// that the memory that takes is given back when it ends.
func validateWorkerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    file.WorkerCommand,
		Hidden: true,
		Args:   arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			stepBack()
			return file.ServeValidator(c.InOrStdin(), c.OutOrStdout())
		},
	}
}

// modest is the nice value of work that must not slow requests down.
const modest = 10

// stepBack lets every other process of the machine go first. On Linux the
// priority is a thread's own, and threads to come inherit it; elsewhere there is
// no such list and nothing happens.
func stepBack() {
	threads, _ := os.ReadDir("/proc/self/task")
	for _, thread := range threads {
		if id, err := strconv.Atoi(thread.Name()); err == nil {
			_ = syscall.Setpriority(syscall.PRIO_PROCESS, id, modest) // it works without, only less quietly
		}
	}
}
