package file_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/source/file"
)

// follower is a running Source, and what it said so far.
type follower struct {
	t       *testing.T
	source  *file.Source
	updates chan file.Update
	// objects are those in force after the last update that was taken in.
	objects     map[snapshot.Key]snapshot.Object
	diagnostics []diagnostic.Diagnostic
	// removed are the keys of all objects that were ever taken out of force.
	removed []snapshot.Key
}

// follow runs a Source until the test ends, and takes its first update in.
func follow(t *testing.T, options file.Options) *follower {
	t.Helper()
	source, err := file.New(options)
	if err != nil {
		t.Fatal(err)
	}
	f := &follower{t: t, source: source, updates: make(chan file.Update, 1000), objects: map[snapshot.Key]snapshot.Object{}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- source.Run(ctx, func(u file.Update) { f.updates <- u }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	f.take()
	return f
}

// patience is how long a condition may take on a busy machine.
const patience = 30 * time.Second

func (f *follower) take() {
	f.t.Helper()
	select {
	case u := <-f.updates:
		for _, change := range u.Changes {
			if change.Object == nil {
				delete(f.objects, change.Key)
				f.removed = append(f.removed, change.Key)
			} else {
				f.objects[change.Key] = change.Object
			}
		}
		f.diagnostics = u.Diagnostics
	case <-time.After(patience):
		f.t.Fatalf("no update brought it about; in force: %v; told: %s",
			slices.SortedFunc(maps.Keys(f.objects), snapshot.Key.Compare), f.told())
	}
}

// until takes updates in until the condition holds.
func (f *follower) until(condition func() bool) {
	f.t.Helper()
	for !condition() {
		f.take()
	}
}

func (f *follower) told() string {
	var out strings.Builder
	for _, d := range f.diagnostics {
		out.WriteString(describeDiagnostic(d))
	}
	return out.String()
}

// tells is true if something that is told has the text in it.
func (f *follower) tells(text string) func() bool {
	return func() bool { return strings.Contains(f.told(), text) }
}

func (f *follower) tellsNothing() bool { return len(f.diagnostics) == 0 }

// data is what the ConfigMap of a name has under "v"; empty if it is not in force.
func (f *follower) data(name string) string {
	object := f.objects[configMapKey(name)]
	if object == nil {
		return ""
	}
	return object.(*corev1.ConfigMap).Data["v"]
}

func (f *follower) has(name, value string) func() bool {
	return func() bool { return f.data(name) == value }
}

func configMapKey(name string) snapshot.Key {
	return snapshot.Key{Kind: snapshot.KindConfigMap, Namespace: "default", Name: name}
}

// configMap is a document that sets v.
func configMap(name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {v: %q}\n", name, value)
}

// eachWay runs a test with validation in this process and in a child.
func eachWay(t *testing.T, test func(t *testing.T, dir string, options file.Options)) {
	for _, isolated := range []bool{false, true} {
		t.Run(fmt.Sprintf("isolated=%v", isolated), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			test(t, dir, file.Options{Paths: []string{dir}, Isolated: isolated})
		})
	}
}

func replaceFile(t *testing.T, path, text string) {
	t.Helper()
	next := path + ".next"
	writeFile(t, next, text)
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

func TestRunFollowsWaysOfWriting(t *testing.T) {
	ways := map[string]func(t *testing.T, path, text string){
		"in place":      writeFile,
		"atomic rename": replaceFile,
		"backup and new file": func(t *testing.T, path, text string) {
			if err := os.Rename(path, path+"~"); err != nil {
				t.Fatal(err)
			}
			writeFile(t, path, text)
		},
		"removal and new file": func(t *testing.T, path, text string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			writeFile(t, path, text)
		},
		"in pieces": func(t *testing.T, path, text string) {
			half := len(text) / 2
			f, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for _, piece := range []string{text[:half], text[half:]} {
				if _, err := f.WriteString(piece); err != nil {
					t.Fatal(err)
				}
			}
		},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, dir string, options file.Options) {
				path := filepath.Join(dir, "a.yaml")
				writeFile(t, path, configMap("a", "1"))
				f := follow(t, options)
				for i := 1; i <= 5; i++ {
					f.until(f.has("a", fmt.Sprint(i)))
					way(t, path, configMap("a", fmt.Sprint(i+1)))
				}
				f.until(f.has("a", "6"))
			})
		})
	}
}

// TestRunFollowsConfigMapMounts swaps the links of a mounted ConfigMap as the
// kubelet does.
func TestRunFollowsConfigMapMounts(t *testing.T) {
	eachWay(t, func(t *testing.T, dir string, options file.Options) {
		mount := func(version string) {
			writeFile(t, filepath.Join(dir, "..v"+version, "a.yaml"), configMap("a", version))
			link(t, "..v"+version, filepath.Join(dir, "..next"))
			if err := os.Rename(filepath.Join(dir, "..next"), filepath.Join(dir, "..data")); err != nil {
				t.Fatal(err)
			}
		}
		mount("1")
		link(t, "..data/a.yaml", filepath.Join(dir, "a.yaml"))
		f := follow(t, options)
		if len(f.diagnostics) > 0 {
			t.Errorf("the file behind the links was not read exactly once: %s", f.told())
		}
		for _, version := range []string{"1", "2", "3"} {
			f.until(f.has("a", version))
			mount(version + "+")
			f.until(f.has("a", version+"+"))
			mount(fmt.Sprint(version[0] - '0' + 1))
		}
	})
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

// TestRunFollowsLinksElsewhere swaps a link in the middle of a path.
func TestRunFollowsLinksElsewhere(t *testing.T) {
	base := t.TempDir()
	for _, version := range []string{"1", "2"} {
		writeFile(t, filepath.Join(base, "releases", version, "gateway", "a.yaml"), configMap("a", version))
	}
	current := filepath.Join(base, "current")
	link(t, "releases/1", current)
	entry := filepath.Join(base, "entry")
	link(t, filepath.Join(current, "gateway"), entry)

	f := follow(t, file.Options{Paths: []string{entry}})
	f.until(f.has("a", "1"))
	link(t, "releases/2", current+".next")
	if err := os.Rename(current+".next", current); err != nil {
		t.Fatal(err)
	}
	f.until(f.has("a", "2"))
	replaceFile(t, filepath.Join(base, "releases", "2", "gateway", "a.yaml"), configMap("a", "3"))
	f.until(f.has("a", "3"))
}

func TestRunFollowsManyFilesAtOnce(t *testing.T) {
	eachWay(t, func(t *testing.T, dir string, options file.Options) {
		const count = 200
		write := func(value string) {
			for i := range count {
				replaceFile(t, filepath.Join(dir, "sub", fmt.Sprintf("%d.yaml", i%7), fmt.Sprintf("%d.yaml", i)), configMap(fmt.Sprintf("c%d", i), value))
			}
		}
		f := follow(t, options)
		for i := range 7 {
			if err := os.MkdirAll(filepath.Join(dir, "sub", fmt.Sprintf("%d.yaml", i)), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		all := func(value string) func() bool {
			return func() bool {
				for i := range count {
					if f.data(fmt.Sprintf("c%d", i)) != value {
						return false
					}
				}
				return true
			}
		}
		write("1")
		f.until(all("1"))
		write("2")
		f.until(all("2"))
		if len(f.removed) > 0 {
			t.Errorf("objects were gone for a while: %v", f.removed)
		}
	})
}

func TestRunFollowsDirectories(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "objects")
	writeFile(t, filepath.Join(dir, "a.yaml"), configMap("a", "1"))
	f := follow(t, file.Options{Paths: []string{dir}})
	f.until(f.has("a", "1"))

	writeFile(t, filepath.Join(dir, "x", "y", "b.yaml"), configMap("b", "1"))
	f.until(f.has("b", "1"))

	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	f.until(f.tells("cannot be read: no such file or directory"))
	f.until(func() bool { return f.data("a") == "" && f.data("b") == "" })

	writeFile(t, filepath.Join(dir, "c.yaml"), configMap("c", "1"))
	f.until(f.has("c", "1"))
	replaceFile(t, filepath.Join(dir, "c.yaml"), configMap("c", "2"))
	f.until(f.has("c", "2"))
	f.until(f.tellsNothing)
}

func TestRunForgetsWhatIsDeleted(t *testing.T) {
	eachWay(t, func(t *testing.T, dir string, options file.Options) {
		path := filepath.Join(dir, "a.yaml")
		writeFile(t, path, configMap("a", "1")+"---\n"+configMap("b", "1"))
		f := follow(t, options)
		f.until(f.has("b", "1"))

		replaceFile(t, path, configMap("b", "1"))
		f.until(f.has("a", ""))
		if f.data("b") != "1" {
			t.Error("the other object of the file is gone")
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		f.until(f.has("b", ""))
		namespace := snapshot.Key{Kind: snapshot.KindNamespace, Name: "default"}
		if f.objects[namespace] != nil {
			t.Error("the implied namespace of the last object stays")
		}
	})
}

func TestRunKeepsWhatWasAccepted(t *testing.T) {
	eachWay(t, func(t *testing.T, dir string, options file.Options) {
		path, other := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "b.yaml")
		writeFile(t, path, configMap("a", "1")+"---\n"+configMap("b", "1"))
		writeFile(t, other, configMap("other", "1"))
		f := follow(t, options)
		f.until(f.has("a", "1"))

		// One document does not validate: it alone stays behind.
		replaceFile(t, path, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {v: 2}\n---\n"+configMap("b", "2"))
		f.until(f.tells("a.yaml:4:11: error: ConfigMap default/a: data[v]: must be a string"))
		f.until(f.has("b", "2"))
		if f.data("a") != "1" {
			t.Errorf("a is %q", f.data("a"))
		}

		// One document is no YAML: nobody knows which objects it was to have.
		replaceFile(t, path, "data: [\n---\n"+configMap("b", "3"))
		f.until(f.tells("not valid YAML"))
		f.until(f.has("b", "3"))
		if f.data("a") != "1" {
			t.Errorf("a is %q", f.data("a"))
		}

		// The file cannot be read at all.
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		link(t, "nowhere", path)
		f.until(f.tells("cannot be read"))

		replaceFile(t, path, configMap("a", "4")+"---\n"+configMap("b", "4"))
		f.until(f.has("a", "4"))
		f.until(f.has("b", "4"))
		f.until(f.tellsNothing)
		if f.data("other") != "1" {
			t.Error("an object of another file is gone")
		}
	})
}

// TestRunKeepsWhatItCannotReach swaps a link on the way to a directory for one that
// leads to itself.
func TestRunKeepsWhatItCannotReach(t *testing.T) {
	base := t.TempDir()
	writeFile(t, filepath.Join(base, "real", "a.yaml"), configMap("a", "1"))
	entry := filepath.Join(base, "entry")
	link(t, "real", entry)
	f := follow(t, file.Options{Paths: []string{entry}})
	swap := func(target string) {
		t.Helper()
		link(t, target, entry+".next")
		if err := os.Rename(entry+".next", entry); err != nil {
			t.Fatal(err)
		}
	}
	swap("entry")
	f.until(f.tells("stay in force"))
	writeFile(t, filepath.Join(base, "real", "b.yaml"), configMap("b", "1"))
	swap("real")
	f.until(f.has("b", "1"))
	f.until(f.tellsNothing)
	if len(f.removed) > 0 {
		t.Errorf("objects were gone for a while: %v", f.removed)
	}
}

func TestRunCountsGenerations(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.yaml")
	writeFile(t, path, configMap("a", "1"))
	f := follow(t, file.Options{Paths: []string{dir}})
	generation := func(want int64) {
		t.Helper()
		if got := f.objects[configMapKey("a")].GetGeneration(); got != want {
			t.Errorf("generation is %d, want %d", got, want)
		}
	}
	generation(1)
	first := f.objects[configMapKey("a")]

	replaceFile(t, path, "# moved\n"+configMap("a", "2"))
	f.until(f.has("a", "2"))
	generation(2)

	replaceFile(t, path, strings.Replace(configMap("a", "2"), "name: a", "name: a, labels: {new: label}", 1))
	f.until(func() bool { return f.objects[configMapKey("a")].GetLabels() != nil })
	generation(2)

	replaceFile(t, path, configMap("a", "1"))
	f.until(f.has("a", "1"))
	generation(3)
	if first.GetGeneration() != 1 {
		t.Error("an object was changed after it had been handed out")
	}
}

func TestRunGivesWayToWrittenObjects(t *testing.T) {
	dir := t.TempDir()
	f := follow(t, file.Options{Paths: []string{dir}})
	class := snapshot.Key{Kind: snapshot.KindGatewayClass, Name: "sluice"}
	if f.objects[class] == nil {
		t.Fatal("no GatewayClass sluice")
	}
	path := filepath.Join(dir, "class.yaml")
	writeFile(t, path, `apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: sluice, labels: {mine: "yes"}}
spec: {controllerName: sluice.dev/gateway-controller}
`)
	f.until(func() bool { return f.objects[class].GetLabels()["mine"] == "yes" })
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	f.until(func() bool { return f.objects[class].GetLabels() == nil })
}

// TestReload changes a file in a way that no event tells: through a name that it has
// in another directory.
func TestReload(t *testing.T) {
	dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "b.yaml")
	path := filepath.Join(dir, "a.yaml")
	writeFile(t, path, configMap("a", "1"))
	if err := os.Link(path, elsewhere); err != nil {
		t.Skip(err)
	}
	f := follow(t, file.Options{Paths: []string{dir}})
	writeFile(t, elsewhere, configMap("a", "2"))
	f.source.Reload()
	f.until(f.has("a", "2"))
}
