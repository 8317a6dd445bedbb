package cli

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluicegateway/sluice/control"
	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/translate"
)

func checkCommand() *cobra.Command {
	var options translate.Options
	var strict bool
	output := oneOf("text", "json", "github")
	c := &cobra.Command{
		Use:   "check PATH…",
		Short: "Tell all that is wrong with objects, and what a reviewer would ask",
		Long: `Check reads the objects, holds them to the rules of an API server, translates
them as a running gateway would, and tells what is wrong: where, why, and what to
do. It needs no gateway and serves nothing.

The exit code is 0 if there is no error, 1 if there is one (or, with --strict, a
warning), and 2 if the command line is wrong.`,
		Example: `  sluice check examples/quickstart
  kustomize build . | sluice check -o github -`,
		Args: arguments(somePaths),
		RunE: func(c *cobra.Command, paths []string) error {
			state, err := offline(c, paths, options)
			if err != nil {
				return err
			}
			findings, err := review(state)
			if err != nil {
				return err
			}
			if err := printFindings(c.OutOrStdout(), output.value, state, findings); err != nil {
				return err
			}
			if fails(findings, strict) {
				return errFound
			}
			return nil
		},
	}
	addTranslateFlags(c, &options)
	c.Flags().VarP(output, "output", "o", "how to print: text, json (a Kubernetes List with diagnostics) or github (annotations)")
	c.Flags().BoolVar(&strict, "strict", false, "let warnings fail too")
	return c
}

// review is all that there is to say of the objects, by file and line.
func review(s *control.State) ([]diagnostic.Diagnostic, error) {
	shadows, err := shadowed(s)
	if err != nil {
		return nil, err
	}
	all := append(s.Diagnostics(), shadows...)
	all = append(all, expiring(s, time.Now())...)
	all = append(all, badConditions(s, all)...)
	slices.SortStableFunc(all, compareFindings)
	return all, nil
}

// badConditions are the conditions that are not fine, as errors, of objects that
// no error is about yet: an error says the same with its place and remedy.
func badConditions(s *control.State, told []diagnostic.Diagnostic) []diagnostic.Diagnostic {
	known := map[snapshot.Key]bool{}
	for _, d := range told {
		if d.Severity == diagnostic.Error {
			known[d.Object] = true
		}
	}
	var found []diagnostic.Diagnostic
	for key := range s.Snapshot.All() {
		if known[key] {
			continue
		}
		for c := range control.Conditions(s.Status(key)) {
			// What only a data plane can say is not known here.
			if c.Fine() || c.Status == metav1.ConditionUnknown {
				continue
			}
			found = append(found, s.Locate(conditionFinding(key, c)))
		}
	}
	return found
}

func conditionFinding(key snapshot.Key, c control.Condition) diagnostic.Diagnostic {
	part := ""
	if c.Part != "" {
		part = c.Part + ": "
	}
	return diagnostic.Diagnostic{
		Severity: diagnostic.Error,
		Object:   key,
		Message:  fmt.Sprintf("%s%s is %s (%s): %s", part, c.Type, c.Status, c.Reason, c.Message),
	}
}

func compareFindings(a, b diagnostic.Diagnostic) int {
	return cmp.Or(
		strings.Compare(a.File, b.File),
		cmp.Compare(a.Line, b.Line),
		cmp.Compare(a.Column, b.Column),
		a.Object.Compare(b.Object),
		strings.Compare(a.Field, b.Field),
		strings.Compare(a.Message, b.Message),
	)
}

func fails(findings []diagnostic.Diagnostic, strict bool) bool {
	errors, warnings := control.CountFindings(findings)
	return errors > 0 || strict && warnings > 0
}

func printFindings(w io.Writer, format string, s *control.State, findings []diagnostic.Diagnostic) error {
	switch format {
	case "json":
		return printAs(w, "json", control.List{Objects: s.Objects(), Diagnostics: findings})
	case "github":
		for _, d := range findings {
			fmt.Fprintln(w, annotation(d))
		}
		return nil
	}
	for _, d := range findings {
		fmt.Fprint(w, findingText(d))
	}
	errors, warnings := control.CountFindings(findings)
	_, err := fmt.Fprintf(w, "%s, %s\n", plural(errors, "error"), plural(warnings, "warning"))
	return err
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// findingText is a finding for people, in the form that editors understand.
func findingText(d diagnostic.Diagnostic) string {
	var b strings.Builder
	if d.File != "" {
		fmt.Fprintf(&b, "%s:%d:%d: ", d.File, d.Line, d.Column)
	}
	fmt.Fprintf(&b, "%s: ", d.Severity)
	if subject := subject(d); subject != "" {
		fmt.Fprintf(&b, "%s: ", subject)
	}
	fmt.Fprintf(&b, "%s\n", d.Message)
	if d.Fix != "" {
		fmt.Fprintf(&b, "    %s\n", d.Fix)
	}
	return b.String()
}

// subject is the object and the field that the finding is about.
func subject(d diagnostic.Diagnostic) string {
	var words []string
	if d.Object != (snapshot.Key{}) {
		words = append(words, d.Object.String())
	}
	if d.Field != "" {
		words = append(words, d.Field)
	}
	return strings.Join(words, " ")
}

// annotation is a workflow command of GitHub Actions, which shows the finding
// beside the line.
func annotation(d diagnostic.Diagnostic) string {
	level := map[diagnostic.Severity]string{diagnostic.Error: "error", diagnostic.Warning: "warning"}[d.Severity]
	if level == "" {
		level = "notice"
	}
	var properties []string
	if d.File != "" {
		properties = append(properties,
			"file="+escapeProperty(d.File), fmt.Sprintf("line=%d", d.Line), fmt.Sprintf("col=%d", d.Column))
	}
	if subject := subject(d); subject != "" {
		properties = append(properties, "title="+escapeProperty(subject))
	}
	message := d.Message
	if d.Fix != "" {
		message += "\n" + d.Fix
	}
	return fmt.Sprintf("::%s %s::%s", level, strings.Join(properties, ","), escapeMessage.Replace(message))
}

var escapeMessage = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")

func escapeProperty(s string) string {
	return strings.NewReplacer(":", "%3A", ",", "%2C").Replace(escapeMessage.Replace(s))
}
