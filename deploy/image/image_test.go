package image_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluicegateway/sluice/deploy/image"
)

// sample is an image for two architectures under two names.
func sample(t *testing.T) image.Image {
	t.Helper()
	i := image.Image{
		Names: []string{"sluice:dev", "sluice:v1"}, Program: "/bin/sluice", Args: []string{"run"}, User: "65532:65532",
		Labels: map[string]string{"org.opencontainers.image.title": "Sluice"},
	}
	for _, architecture := range []string{"amd64", "arm64"} {
		file := filepath.Join(t.TempDir(), architecture)
		if err := os.WriteFile(file, []byte("program for "+architecture), 0o600); err != nil {
			t.Fatal(err)
		}
		i.Builds = append(i.Builds, image.Build{Architecture: architecture, File: file})
	}
	return i
}

func written(t *testing.T, i image.Image) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := image.Write(&out, i); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// files reads a tar; no file may come twice.
func files(t *testing.T, content []byte) map[string]string {
	t.Helper()
	all := map[string]string{}
	for r := tar.NewReader(bytes.NewReader(content)); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := all[header.Name]; twice {
			t.Errorf("%s comes twice", header.Name)
		}
		if !header.ModTime.IsZero() && header.ModTime.Unix() != 0 {
			t.Errorf("%s has the time %v", header.Name, header.ModTime)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		all[header.Name] = string(body)
	}
}

// reference is a descriptor as the OCI image specification has it.
type reference struct {
	MediaType, Digest string
	Size              int
	Platform          struct{ Architecture, OS string }
	Annotations       map[string]string
}

// follow reads the blob of a descriptor into v and holds its digest and size.
func follow(t *testing.T, layout map[string]string, r reference, v any) string {
	t.Helper()
	algorithm, digest, _ := strings.Cut(r.Digest, ":")
	content, ok := layout["blobs/"+algorithm+"/"+digest]
	sum := sha256.Sum256([]byte(content))
	if !ok || algorithm != "sha256" || hex.EncodeToString(sum[:]) != digest || len(content) != r.Size {
		t.Fatalf("blob %+v: there %v, %d bytes, digest %x", r, ok, len(content), sum)
	}
	if v != nil {
		if err := json.Unmarshal([]byte(content), v); err != nil {
			t.Fatal(err)
		}
	}
	return content
}

func TestLayout(t *testing.T) {
	layout := files(t, written(t, sample(t)))
	if layout["oci-layout"] != `{"imageLayoutVersion":"1.0.0"}` {
		t.Errorf("oci-layout: %q", layout["oci-layout"])
	}
	var top struct{ Manifests []reference }
	if err := json.Unmarshal([]byte(layout["index.json"]), &top); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range top.Manifests {
		names = append(names, r.Annotations["org.opencontainers.image.ref.name"], r.Annotations["io.containerd.image.name"])
	}
	if !slices.Equal(names, []string{"sluice:dev", "sluice:dev", "sluice:v1", "sluice:v1"}) || top.Manifests[0].Digest != top.Manifests[1].Digest {
		t.Errorf("names %q of %+v; want both names of one image", names, top.Manifests)
	}
	var platforms struct{ Manifests []reference }
	follow(t, layout, top.Manifests[0], &platforms)
	for i, architecture := range []string{"amd64", "arm64"} {
		r := platforms.Manifests[i]
		if r.Platform.Architecture != architecture || r.Platform.OS != "linux" {
			t.Errorf("manifest %d is for %+v", i, r.Platform)
		}
		checkManifest(t, layout, r, architecture)
	}
	if blobs := len(layout) - 2; blobs != 1+2*3 {
		t.Errorf("%d blobs, want an index and three for each platform", blobs)
	}
}

func checkManifest(t *testing.T, layout map[string]string, r reference, architecture string) {
	t.Helper()
	var manifest struct {
		Config reference
		Layers []reference
	}
	follow(t, layout, r, &manifest)
	var config struct {
		Architecture, OS string
		Config           struct {
			User       string
			Entrypoint []string
			Labels     map[string]string
		}
		RootFS struct {
			Type    string
			DiffIDs []string `json:"diff_ids"`
		}
	}
	follow(t, layout, manifest.Config, &config)
	if config.Architecture != architecture || config.OS != "linux" || config.Config.User != "65532:65532" ||
		!slices.Equal(config.Config.Entrypoint, []string{"/bin/sluice", "run"}) ||
		config.Config.Labels["org.opencontainers.image.title"] != "Sluice" ||
		config.RootFS.Type != "layers" || !slices.Equal(config.RootFS.DiffIDs, []string{manifest.Layers[0].Digest}) {
		t.Errorf("config of %s: %+v", architecture, config)
	}
	layer := files(t, []byte(follow(t, layout, manifest.Layers[0], nil)))
	if len(layer) != 2 || layer["bin/sluice"] != "program for "+architecture {
		t.Errorf("layer of %s: %q", architecture, layer)
	}
}

func TestTheSameInputGivesTheSameBytes(t *testing.T) {
	i := sample(t)
	first := written(t, i)
	for _, build := range i.Builds { // a file's time and mode do not count
		if err := os.Chmod(build.File, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first, written(t, i)) {
		t.Error("two writes differ")
	}
}

func TestWhatIsNoImage(t *testing.T) {
	for name, change := range map[string]func(*image.Image){
		"no name":            func(i *image.Image) { i.Names = nil },
		"no build":           func(i *image.Image) { i.Builds = nil },
		"a relative program": func(i *image.Image) { i.Program = "sluice" },
		"a missing file":     func(i *image.Image) { i.Builds[0].File += "-missing" },
	} {
		t.Run(name, func(t *testing.T) {
			i := sample(t)
			change(&i)
			if err := image.Write(io.Discard, i); err == nil {
				t.Error("no error")
			}
		})
	}
}
