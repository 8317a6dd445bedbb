package conformance

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// isEcho is true of pods that the tests which are run send requests to: echo-basic
// that speaks HTTP or gRPC.
func isEcho(d *appsv1.Deployment) bool {
	for _, container := range d.Spec.Template.Spec.Containers {
		if !strings.Contains(container.Image, "/echo-basic:") {
			return false
		}
		for _, variable := range container.Env {
			if variable.Name == "TCP_ECHO_SERVER" || variable.Name == "UDP_ECHO_SERVER" {
				return false
			}
		}
	}
	return true
}

// environment is what a Deployment sets beside what each pod has, with the paths of
// the files where they are here. The error is NotFound as long as what it mounts is
// not there.
func (c *cluster) environment(ctx context.Context, d *appsv1.Deployment) ([]string, error) {
	var all []string
	folder := filepath.Join(c.files, d.Namespace, d.Name)
	for _, volume := range d.Spec.Template.Spec.Volumes {
		if err := c.mount(ctx, d.Namespace, volume, filepath.Join(folder, volume.Name)); err != nil {
			return nil, err
		}
	}
	for _, container := range d.Spec.Template.Spec.Containers {
		for _, variable := range container.Env {
			if variable.Value == "" {
				continue
			}
			value := variable.Value
			for _, m := range container.VolumeMounts {
				if file, ok := strings.CutPrefix(value, m.MountPath+"/"); ok {
					value = filepath.Join(folder, m.Name, file)
				}
			}
			all = append(all, variable.Name+"="+value)
		}
	}
	return all, nil
}

// mount writes the files of a Secret or a ConfigMap.
func (c *cluster) mount(ctx context.Context, namespace string, volume corev1.Volume, folder string) error {
	content := map[string][]byte{}
	var items []corev1.KeyToPath
	switch {
	case volume.Secret != nil:
		var secret corev1.Secret
		if err := c.store.Get(ctx, client.ObjectKey{Namespace: namespace, Name: volume.Secret.SecretName}, &secret); err != nil {
			return err
		}
		content, items = secret.Data, volume.Secret.Items
	case volume.ConfigMap != nil:
		var configMap corev1.ConfigMap
		if err := c.store.Get(ctx, client.ObjectKey{Namespace: namespace, Name: volume.ConfigMap.Name}, &configMap); err != nil {
			return err
		}
		for name, text := range configMap.Data {
			content[name] = []byte(text)
		}
		items = volume.ConfigMap.Items
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	for _, item := range items {
		if err := os.WriteFile(filepath.Join(folder, item.Path), content[item.Key], 0o600); err != nil {
			return err
		}
	}
	return nil
}
