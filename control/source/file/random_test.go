package file

import (
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fsnotify/fsnotify"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// TestRandomChanges changes files at random, one step after the other. After each step
// a Source that follows them must say what a new one says, but for what it keeps of
// before.
func TestRandomChanges(t *testing.T) {
	const runs, steps = 24, 40
	judge := &local{}
	for seed := range uint64(runs) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(t, seed, judge)
			for range steps {
				w.step()
				if t.Failed() {
					break
				}
			}
		})
	}
}

// world is files that change at random, a Source that follows them, and what must be
// in force.
type world struct {
	t      *testing.T
	random *rand.Rand
	dir    string
	paths  []string
	judge  validator
	watch  *watch
	links  bool // whether links come and go; otherwise there are documents that are no YAML

	files map[string][]note // what was written, by path
	// claims are the objects that files may still have where they cannot be made out.
	claims      map[string]map[snapshot.Key]bool
	inForce     map[snapshot.Key]snapshot.Object
	diagnostics []diagnostic.Diagnostic
}

// note is a document that was written.
type note struct {
	key     snapshot.Key // zero if it is no YAML
	refused bool
	value   int
}

func newWorld(t *testing.T, seed uint64, judge validator) *world {
	w := &world{
		t: t, random: rand.New(rand.NewPCG(seed, 0)), dir: t.TempDir(), judge: judge, links: seed%3 == 0,
		files: map[string][]note{}, claims: map[string]map[snapshot.Key]bool{}, inForce: map[snapshot.Key]snapshot.Object{},
	}
	w.paths = []string{w.dir}
	if seed%2 == 0 {
		w.paths = []string{filepath.Join(w.dir, "d"), w.dir}
	}
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = notify.Close() })
	must(t, os.Mkdir(filepath.Join(w.dir, "d"), 0o755))
	w.watch = &watch{source: w.newSource(), notify: notify, watched: map[string]bool{}, apply: w.apply}
	must(t, w.watch.refresh(t.Context(), rescan{believe: true}))
	return w
}

func (w *world) newSource() *Source {
	return &Source{
		library: library{paths: w.paths, validator: w.judge},
		once:    map[string][]byte{},
		log:     slog.New(slog.DiscardHandler),
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) apply(u Update) {
	for _, change := range u.Changes {
		if change.Object == nil {
			delete(w.inForce, change.Key)
		} else {
			w.inForce[change.Key] = change.Object
		}
	}
	w.diagnostics = u.Diagnostics
}

// step changes some files, and compares.
func (w *world) step() {
	before, written := maps.Clone(w.inForce), maps.Clone(w.files)
	for range 1 + w.random.IntN(3) {
		w.change()
	}
	if w.random.IntN(5) == 0 {
		w.watch.pending.all = true
	}
	w.watch.pending.believe = true
	must(w.t, w.watch.refresh(w.t.Context(), w.watch.pending))
	w.claim(written)

	fresh := w.newSource()
	update, _, err := fresh.update(w.t.Context(), list(w.paths), rescan{believe: true})
	must(w.t, err)
	want := map[snapshot.Key]snapshot.Object{}
	for _, change := range update.Changes {
		want[change.Key] = change.Object
	}
	kept := w.keep(want, before)
	if diff := cmp.Diff(texts(want), texts(w.inForce)); diff != "" {
		w.t.Errorf("objects (-new +followed)\n%s", diff)
	}
	told := slices.DeleteFunc(slices.Clone(w.diagnostics), func(d diagnostic.Diagnostic) bool {
		return strings.Contains(d.Message, "last accepted version") && d.Severity == diagnostic.Info
	})
	if diff := cmp.Diff(update.Diagnostics, told); diff != "" && len(update.Diagnostics)+len(told) > 0 {
		w.t.Errorf("diagnostics (-new +followed)\n%s", diff)
	}
	if len(told) < len(w.diagnostics) != kept {
		w.t.Errorf("anything of before in force: %v; told: %v", kept, w.diagnostics)
	}
	w.checkGenerations(before)
}

// change changes one file or link, and notes the events of it.
func (w *world) change() {
	name := []string{"a.yaml", "b.yaml", "b/c.yaml", "b-c.yaml", "d/a.yaml", "d/b.yaml", ".hidden.yaml", "no-object.txt"}[w.random.IntN(8)]
	path := filepath.Join(w.dir, name)
	switch w.random.IntN(8) {
	case 0, 1:
		w.remove(path)
	case 2:
		if w.links {
			w.swapLink(name)
		}
	case 3:
		w.remove(filepath.Dir(path))
	default:
		w.write(path)
	}
}

func (w *world) event(op fsnotify.Op, path string) {
	if event := (fsnotify.Event{Name: path, Op: op}); !w.watch.isNoise(event) {
		w.watch.note(event)
	}
}

func (w *world) remove(path string) {
	if path == w.dir {
		return
	}
	must(w.t, os.RemoveAll(path))
	w.event(fsnotify.Remove, path)
	maps.DeleteFunc(w.files, func(file string, _ []note) bool {
		gone := file == path || strings.HasPrefix(file, path+"/")
		if gone {
			w.event(fsnotify.Remove, file)
		}
		return gone
	})
}

// swapLink makes a link to a file, which may not be there, or takes it away.
func (w *world) swapLink(target string) {
	link := filepath.Join(w.dir, []string{"a0.yaml", "z.yaml"}[w.random.IntN(2)])
	if os.Remove(link) != nil {
		must(w.t, os.Symlink(target, link))
	}
	w.event(fsnotify.Create, link)
}

// write writes a file anew, in place or by renaming.
func (w *world) write(path string) {
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		must(w.t, os.MkdirAll(filepath.Dir(path), 0o755))
		w.event(fsnotify.Create, filepath.Dir(path))
	}
	notes := make([]note, w.random.IntN(4))
	var text strings.Builder
	for i := range notes {
		notes[i] = w.note()
		text.WriteString("---\n" + notes[i].text())
	}
	next := path
	if w.random.IntN(2) == 0 {
		next = filepath.Join(filepath.Dir(path), "temporary.txt")
	}
	must(w.t, os.WriteFile(next, []byte(text.String()), 0o644))
	w.event(fsnotify.Create, next)
	must(w.t, os.Rename(next, path))
	w.event(fsnotify.Rename, next)
	w.event(fsnotify.Create, path)
	w.files[path] = notes
}

func (w *world) note() note {
	if !w.links && w.random.IntN(8) == 0 {
		return note{}
	}
	keys := []snapshot.Key{
		{Kind: snapshot.KindConfigMap, Namespace: "default", Name: "a"},
		{Kind: snapshot.KindConfigMap, Namespace: "default", Name: "b"},
		{Kind: snapshot.KindConfigMap, Namespace: "default", Name: "c"},
		{Kind: snapshot.KindConfigMap, Namespace: "store", Name: "a"},
		{Kind: snapshot.KindNamespace, Name: "store"},
		{Kind: snapshot.KindNamespace, Name: "alone"},
		{Kind: snapshot.KindGatewayClass, Name: "sluice"},
	}
	return note{key: keys[w.random.IntN(len(keys))], refused: w.random.IntN(5) == 0, value: w.random.IntN(3)}
}

func (n note) text() string {
	if n.key == (snapshot.Key{}) {
		return "data: [\n"
	}
	label := `"written"`
	if n.refused {
		label = "5"
	}
	text := fmt.Sprintf("kind: %s\nmetadata: {name: %s, namespace: %q, labels: {label: %s}}\n", n.key.Kind, n.key.Name, n.key.Namespace, label)
	switch n.key.Kind {
	case snapshot.KindConfigMap:
		return fmt.Sprintf("apiVersion: v1\ndata: {v: \"%d\"}\n", n.value) + text
	case snapshot.KindNamespace:
		return "apiVersion: v1\n" + text
	}
	return "apiVersion: gateway.networking.k8s.io/v1\nspec: {controllerName: sluice.dev/gateway-controller}\n" + text
}

// claim follows what files may still have, from what was written before the step.
func (w *world) claim(before map[string][]note) {
	maps.DeleteFunc(w.claims, func(path string, _ map[snapshot.Key]bool) bool { return !slices.Contains(w.files[path], note{}) })
	for path, notes := range w.files {
		if !slices.Contains(notes, note{}) || !w.isRead(path) {
			continue
		}
		if w.claims[path] == nil {
			w.claims[path] = map[snapshot.Key]bool{}
		}
		for _, note := range before[path] {
			w.claims[path][note.key] = true
		}
	}
}

// isRead is true of a file that is read without links.
func (w *world) isRead(path string) bool {
	return filepath.Ext(path) == ".yaml" && !strings.HasPrefix(filepath.Base(path), ".")
}

// keep adds to what a new Source has in force what stays in force of before. It is
// true if there is any.
func (w *world) keep(want, before map[snapshot.Key]snapshot.Object) (kept bool) {
	maybe := map[snapshot.Key]bool{}
	for _, claims := range w.claims {
		maps.Copy(maybe, claims)
	}
	for path := range w.watch.source.library.files {
		real, err := filepath.EvalSymlinks(path)
		must(w.t, err)
		for _, note := range w.files[real] {
			maybe[note.key] = true
		}
	}
	for key, object := range before {
		if maybe[key] && isMine(object) && !isMine(want[key]) {
			want[key], kept = object, true
			if key.Namespace != "" && want[namespaceOf(key)] == nil {
				want[namespaceOf(key)] = newNamespace(key.Namespace)
			}
		}
	}
	return kept
}

func namespaceOf(key snapshot.Key) snapshot.Key {
	return snapshot.Key{Kind: snapshot.KindNamespace, Name: key.Namespace}
}

// isMine is true of objects that were written, and not implied.
func isMine(object snapshot.Object) bool { return object != nil && object.GetLabels()["label"] != "" }

// texts are objects without their generations.
func texts(objects map[snapshot.Key]snapshot.Object) map[string]string {
	all := map[string]string{}
	for key, object := range objects {
		object = object.DeepCopyObject().(snapshot.Object)
		object.SetGeneration(0)
		all[key.String()] = string(mustMarshal(object))
	}
	return all
}

// checkGenerations holds objects to being the same while nothing about them changes,
// and to counting where something does.
func (w *world) checkGenerations(before map[snapshot.Key]snapshot.Object) {
	for key, now := range w.inForce {
		was, ok := before[key].(*corev1.ConfigMap)
		if !ok {
			continue
		}
		same := was.Data["v"] == now.(*corev1.ConfigMap).Data["v"]
		if same != (now == snapshot.Object(was)) || !same && now.GetGeneration() != was.GetGeneration()+1 {
			w.t.Errorf("%s went from generation %d to %d; unchanged: %v", key, was.GetGeneration(), now.GetGeneration(), same)
		}
	}
}
