{{/* Name of the release's objects. */}}
{{- define "plimsoll.name" -}}
{{- if contains "plimsoll" .Release.Name }}{{ .Release.Name | trunc 53 | trimSuffix "-" }}
{{- else }}{{ printf "%s-plimsoll" .Release.Name | trunc 53 | trimSuffix "-" }}
{{- end }}
{{- end -}}

{{/* Name of objects outside the release's namespace. */}}
{{- define "plimsoll.clusterName" -}}
{{ .Release.Namespace }}-{{ include "plimsoll.name" . }}
{{- end -}}

{{/* Labels that select the operator's pod. */}}
{{- define "plimsoll.selector" -}}
app.kubernetes.io/name: plimsoll
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Labels of every object. */}}
{{- define "plimsoll.labels" -}}
{{ include "plimsoll.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The image, exactly as the operator and its Jobs run it. */}}
{{- define "plimsoll.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}
{{- else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The namespaces served, with commas; empty is all. */}}
{{- define "plimsoll.namespaces" -}}
{{- if eq .Values.scope "Namespaces" }}{{ .Values.namespaces | default (list .Release.Namespace) | join "," }}{{ end }}
{{- end -}}

{{/* Name of the policy on references and of its binding. */}}
{{- define "plimsoll.policy" -}}
{{ .Values.policies.name | default (printf "%s-references.plimsoll.dev" .Release.Namespace) }}
{{- end -}}

{{/* The settings of Jobs as JSON: an empty priority class is none, and every amount is text. */}}
{{- define "plimsoll.jobSettings" -}}
{{- $jobs := deepCopy .Values.jobs }}
{{- if not $jobs.priorityClassName }}{{ $jobs = omit $jobs "priorityClassName" }}{{ end }}
{{- range $amounts := $jobs.resources }}
{{- range $resource, $amount := $amounts }}{{ $_ := set $amounts $resource (toString $amount) }}{{ end }}
{{- end }}
{{- toJson $jobs }}
{{- end -}}

{{/* The operator's service account, as the subject of a binding. */}}
{{- define "plimsoll.subject" -}}
- kind: ServiceAccount
  name: {{ .Values.serviceAccount.name }}
  namespace: {{ .Release.Namespace }}
{{- end -}}
