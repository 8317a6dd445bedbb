package cli

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/sluicegateway/sluice/control"
	"github.com/sluicegateway/sluice/control/source/file"
)

func runCommand() *cobra.Command {
	var o serveOptions
	var summary bool
	c := &cobra.Command{
		Use:   "run PATH…",
		Short: "Serve what the objects describe",
		Long: `Run reads Gateway API objects from files and folders, serves the traffic that
they describe, and follows the files as they change. A document that is not valid
is refused and named; the last version that was accepted stays in force.

SIGTERM drains: /readyz fails at once, connections are accepted for the minimum
of the drain, then requests in flight may end until its limit. SIGINT skips the
minimum, and a second signal ends at once. SIGHUP reads all files again.`,
		Example: `  sluice run examples/quickstart
  kustomize build . | sluice run -`,
		Args: arguments(somePaths),
		RunE: func(c *cobra.Command, paths []string) error {
			if err := o.complete(c); err != nil {
				return usageError{err}
			}
			log := o.newLog()
			source, err := file.New(file.Options{Paths: paths, Stdin: c.InOrStdin(), Isolated: true, Logger: log})
			if err != nil {
				return err
			}
			g, err := newGateway(&o, log, fromFiles(source, &o, summary))
			if err != nil {
				return err
			}
			return g.serve(c.Context())
		},
	}
	o.addFlags(c)
	c.Flags().BoolVar(&summary, "summary", isTerminal(os.Stderr), "print what listens where, the routes and curl lines to try (the default on a terminal)")
	return c
}

// fromFiles is the origin of what run serves.
func fromFiles(source *file.Source, o *serveOptions, summary bool) origin {
	from := origin{
		source:  fileSource{source},
		control: control.Options{Translate: o.translate, Locate: source.Place},
		reload:  source.Reload,
	}
	if summary {
		from.ready = func(s *control.State, admin string) { _ = summarize(o.stderr, s.Config(), s.Report, admin) }
	}
	return from
}

// fileSource makes files a control.Source.
type fileSource struct{ *file.Source }

// Run follows the files.
func (s fileSource) Run(ctx context.Context, update func(control.Update)) error {
	return s.Source.Run(ctx, func(u file.Update) { update(control.Update(u)) })
}
