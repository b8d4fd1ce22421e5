/**
 * What a shell loads, by its name. Each only hands the words to `stackctl complete` and takes its lines: a word, a tab and
 * what it means, or `:files`. Nothing that was typed is evaluated.
 */
export const completionScripts = {
  bash: `# stackctl in bash. Load it with: source <(stackctl completion bash)
_stackctl() {
  local line=\${COMP_LINE:0:COMP_POINT} breaks=\${COMP_WORDBREAKS//[^@=:]/} head= typed words found word
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  # Such as NO_COLOR=1 before the command.
  while [[ \${#words[@]} -gt 1 && \${words[0]} != "$1" ]]; do words=("\${words[@]:1}"); done
  typed=\${words[-1]}
  mapfile -t found < <("\${1/#\\~/$HOME}" complete -- "\${words[@]:1}" 2>/dev/null </dev/null)
  COMPREPLY=()
  if [[ \${found[0]-} == :files ]]; then
    compopt -o default 2>/dev/null
    return
  fi
  # Readline takes what follows one of these for a word of its own.
  [[ -n $breaks && $typed == *[$breaks]* ]] && head=\${typed%"\${typed##*[$breaks]}"}
  for word in "\${found[@]}"; do
    word=\${word%%$'\\t'*}
    [[ $word == "$typed"* ]] && COMPREPLY+=("\${word#"$head"}")
  done
}
complete -F _stackctl stackctl
`,
  zsh: `#compdef stackctl
# stackctl in zsh. Load it with: source <(stackctl completion zsh), or put it into a folder of $fpath as _stackctl
_stackctl() {
  local -a found described
  local line
  found=("\${(@f)$("\${(Q)words[1]/#\\~/$HOME}" complete -- "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" 2>/dev/null </dev/null)}")
  if [[ $found[1] == :files ]]; then
    _files
    return
  fi
  for line in $found; do
    described+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
  done
  _describe -V stackctl described
}
if [[ $funcstack[1] == _stackctl ]]; then _stackctl "$@"; else compdef _stackctl stackctl; fi
`,
  fish: `# stackctl in fish. Load it with: stackctl completion fish | source
function __stackctl_complete
    set -l words (commandline -opc)
    set -l typed (commandline -ct)
    set -l found (command $words[1] complete -- $words[2..-1] "$typed" 2>/dev/null </dev/null)
    if test "$found[1]" = ":files"
        __fish_complete_path "$typed"
    else
        printf '%s\\n' $found
    end
end
complete -c stackctl -f -a '(__stackctl_complete)'
`,
} as const;

/** A shell that is completed for. */
export type Shell = keyof typeof completionScripts;
