package cli

import (
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
			yieldProcess()
			return file.ServeValidator(c.InOrStdin(), c.OutOrStdout())
		},
	}
}
