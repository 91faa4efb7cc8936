{{/* Labels of every object. */}}
{{- define "plimsoll-cluster.labels" -}}
app.kubernetes.io/name: plimsoll
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Namespace of the operator. */}}
{{- define "plimsoll-cluster.operator.namespace" -}}
{{ .Values.operator.namespace | default .Release.Namespace }}
{{- end -}}

{{/* User name of the operator's service account. */}}
{{- define "plimsoll-cluster.operator.user" -}}
system:serviceaccount:{{ include "plimsoll-cluster.operator.namespace" . }}:{{ .Values.operator.serviceAccount }}
{{- end -}}

{{/* Image of the operator and of its Jobs: the same default as in the chart `plimsoll`. */}}
{{- define "plimsoll-cluster.operator.image" -}}
{{ .Values.operator.image | default (printf "ghcr.io/plimsoll-dev/plimsoll:%s" .Chart.AppVersion) }}
{{- end -}}

{{/* Names of the policies; a binding has the name of its policy. They carry the release's namespace, because policies
are of the whole cluster. */}}
{{- define "plimsoll-cluster.policy.references" -}}
{{ .Release.Namespace }}-references.plimsoll.dev
{{- end -}}
{{- define "plimsoll-cluster.policy.jobs" -}}
{{ .Release.Namespace }}-jobs.plimsoll.dev
{{- end -}}
{{- define "plimsoll-cluster.policy.objects" -}}
{{ .Release.Namespace }}-objects.plimsoll.dev
{{- end -}}
{{- define "plimsoll-cluster.policy.rules" -}}
{{ .Release.Namespace }}-rules.plimsoll.dev
{{- end -}}

{{/* CEL: whether `.of` (a variable with an object) is a run's ConfigMap that outlives its resource (deletionPolicy: Retain):
without an owner, with our label, the kind and the UID of its resource, and the key of its run. */}}
{{- define "plimsoll-cluster.kept" -}}
request.resource.resource == 'configmaps'
&& size({{ .of }}.metadata.?ownerReferences.orValue([])) == 0
&& {{ .of }}.metadata.?labels[?'app.kubernetes.io/managed-by'].orValue('') == 'plimsoll'
&& [{{ include "plimsoll.references.kinds" .root }}].exists(k,
  k.lowerAscii() == {{ .of }}.metadata.?labels[?'plimsoll.dev/kind'].orValue(''))
&& {{ .of }}.metadata.?labels[?'plimsoll.dev/owner-uid'].orValue('').matches(
  '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$')
&& {{ .of }}.metadata.?annotations[?'plimsoll.dev/run-key'].orValue('').matches('^sha256:[0-9a-f]{64}$')
{{- end -}}

{{/* CEL: whether `.of` (a variable with an object) belongs to one of our resources and carries our label. */}}
{{- define "plimsoll-cluster.ours" -}}
size({{ .of }}.metadata.?ownerReferences.orValue([])) == 1
&& {{ .of }}.metadata.ownerReferences.all(o,
  o.apiVersion.startsWith('plimsoll.dev/') && o.kind in [{{ include "plimsoll.references.kinds" .root }}]
  && o.?controller.orValue(false))
&& {{ .of }}.metadata.?labels[?'app.kubernetes.io/managed-by'].orValue('') == 'plimsoll'
{{- end -}}
