"""Completion files for bash, zsh and fish. They need only the shell, and cstore itself to list the names of items.

bash and zsh share a table of the options and arguments of each command. fish has its own syntax for completions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cstore.cli.clicked import Declared, global_options, root

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cstore.cli.reference import Described

_LISTINGS = {
    "ITEM": "layers images containers",
    "ITEM:PATH": "layers images containers",
    "ITEM[:PATH]": "layers images containers",
    "LAYER": "layers",
    "PARENT": "layers",
    "REFERENCE": "layers",
    "IMAGE": "images",
    "CONTAINER": "containers",
    "ID": "images",
    "CASE": "repair+--list",
}
"""The metavar of an argument → the commands that list its possible values; a + stands for a space."""
_DATA = {"LAYER": "list-layer-data", "IMAGE": "list-image-data", "CONTAINER": "list-container-data"}
"""The metavar of the first of two arguments → the command that lists the possible values of the second one."""

_FILES = {"FILE", "PATH", "DIRECTORY", "[ITEM:]PATH"}
_ELSEWHERE = {"ROOT"}
"""Metavars of directories whose items the next arguments name; no command lists items outside the store."""
_NOTICE = "Written by cstore.cli.reference from the command tree; change that, not this."

_NAMES_FIRST = r"/^\t/!H; s/^\tname: //p; ${x; s/^\n//p}"
"""The sed script for a listing: it prints the names first and the IDs, which are rarely typed, at the end."""

_SCAN = """\
    for ((i = {first}; i < {current}; i++)); do
        case ${{{words}[i]}} in
            {valued})
                globals+=("${{{words}[i]}}")
                [[ ${{{words}[i + 1]}} == = ]] && ((i++))
                globals+=("${{{words}[++i]}}")
                ;;
            --*=*) globals+=("${{{words}[i]}}") ;;
            -*) ;;
            *) command=${{{words}[i]}}; break ;;
        esac
    done
    case $command in
{table}
    esac
    if [[ -n $data ]]; then
        for ((i++; i < {current}; i++)); do
            case ${{{words}[i]}} in
                '=') ((i++)) ;;
                -*)
                    [[ " $valued {valued_flags} " == *" ${{{words}[i]}} "* ]] || continue
                    [[ ${{{words}[i + 1]}} == '=' ]] || ((i++))
                    ;;
                *) behind=("${{{words}[i]}}") kind=$data; break ;;
            esac
        done
    fi
    flags+=' {flags}' valued+=' {valued_flags} ' filed+=' {filed} ' listed+='{listed}'
    if [[ $listed == *" $previous:"* ]]; then
        kind=${{listed#*" $previous:"}} kind=${{kind%%;*}} word_is_value=1 behind=()
    elif [[ $filed == *" $previous "* ]]; then kind=files word_is_value=1
    elif [[ $valued == *" $previous "* ]]; then kind=nothing word_is_value=1
    fi"""

_BASH = """\
# bash completion for cstore. {notice}

_cstore_items() {{
    local listing
    for listing in $1; do
        command cstore "${{@:2}}" ${{listing//+/ }} ${{behind[@]+"${{behind[@]}}"}} 2>/dev/null
    done | sed -n '{namesfirst}'
}}

_cstore() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}}
    local command='' flags='' valued='' filed='' listed='' kind=commands data='' word_is_value='' i item
    local -a globals=() behind=()
    # "=" breaks words, so --name=value comes as three.
    if [[ $previous == = ]]; then previous=${{COMP_WORDS[COMP_CWORD - 2]}}
    elif [[ $word == = ]]; then word=''
    fi
{scan}
    COMPREPLY=()
    if [[ -z $word_is_value && $word == -* ]]; then
        COMPREPLY=($(compgen -W "$flags" -- "$word"))
        return
    fi
    case $kind in
        commands) COMPREPLY=($(compgen -W '{commands}' -- "$word")) ;;
        files)
            while IFS= read -r item; do COMPREPLY+=("$item"); done < <(compgen -f -- "$word")
            compopt -o filenames 2>/dev/null
            ;;
        nothing) ;;
        '='*) COMPREPLY=($(compgen -W "${{kind#=}}" -- "$word")) ;;
        *)
            compopt -o nosort 2>/dev/null
            # compgen -W would expand the names, and anybody may have named an item.
            while IFS= read -r item; do
                [[ $item == "$word"* ]] && COMPREPLY+=("$(printf %q "$item")")
            done < <(_cstore_items "$kind" "${{globals[@]}}")
            ;;
    esac
}}

complete -F _cstore cstore
"""

_ZSH = """\
#compdef cstore
# zsh completion for cstore. {notice}

_cstore_items() {{
    local listing
    for listing in ${{=1}}; do
        command cstore "${{@:2}}" ${{(s:+:)listing}} $behind 2>/dev/null
    done | sed -n '{namesfirst}'
}}

_cstore() {{
    local word=${{words[CURRENT]}} previous=${{words[CURRENT - 1]}}
    local command='' flags='' valued='' filed='' listed='' kind=commands data='' word_is_value='' i
    local -a globals behind rows
    if [[ $word == --*=* ]]; then
        previous=${{word%%=*}} word=${{word#*=}}
        compset -P '*='
    fi
{scan}
    if [[ -z $word_is_value && $word == -* ]]; then
        compadd -- ${{=flags}}
        return
    fi
    case $kind in
        commands)
            rows=(
{commands}
            )
            _describe -t commands command rows
            ;;
        files) _files ;;
        nothing) ;;
        '='*) compadd -- ${{=kind#=}} ;;
        *) compadd -V items -- ${{(f)"$(_cstore_items "$kind" $globals)"}} ;;
    esac
}}

if [[ $funcstack[1] == _cstore ]]; then _cstore "$@"; else compdef _cstore cstore; fi
"""

_FISH = """\
# fish completion for cstore. {notice}

function __cstore_command -d 'The command on the line, if there is one yet'
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
        else if contains -- $word {valued}
            set skip 1
        else if not string match -q -- '-*' $word
            echo $word
            return
        end
    end
end

function __cstore_is -d 'Whether the command on the line is one of these; without any, whether there is none'
    set -l found (__cstore_command)
    if test (count $found) = 0
        test (count $argv) = 0
    else
        contains -- $found $argv
    end
end

function __cstore_items -d 'IDs and names that these commands list'
    command -q cstore; or return
    set -l globals
    set -l words (commandline -opc)[2..-1]
    while string match -q -- '-*' $words[1]
        if contains -- $words[1] {valued}; and set -q words[2]
            set -a globals $words[1..2]
            set -e words[1..2]
        else
            string match -q -- '--*=*' $words[1]; and set -a globals $words[1]
            set -e words[1]
        end
    end
    for listing in $argv
        command cstore $globals (string split + -- $listing) $behind 2>/dev/null
    end | sed -n '{namesfirst}'
end

function __cstore_first -d 'The first word behind the command'
    set -l found (__cstore_command)
    set -l words (commandline -opc)
    set -l place (contains -i -- "$found[1]" $words); or return 1
    set -l skip 0
    for word in $words[(math $place + 1)..-1]
        if test $skip = 1
            set skip 0
        else if contains -- $word -f --file {valued}
            set skip 1
        else if not string match -q -- '-*' $word
            echo $word
            return
        end
    end
    return 1
end

function __cstore_data -d 'Data items of the item that is the first word'
    set -l behind (__cstore_first); or return
    set -l listing $argv
    command -q cstore; and command cstore $listing $behind 2>/dev/null
end

complete -c cstore -f
{lines}
"""


def bash(commands: Sequence[Described]) -> str:
    """Return the completion file for bash."""
    scan = _scan(commands, words="COMP_WORDS", first=1, current="COMP_CWORD")
    names = " ".join(one.entry.name for one in commands)
    return _BASH.format(notice=_NOTICE, namesfirst=_NAMES_FIRST, scan=scan, commands=names)


def zsh(commands: Sequence[Described]) -> str:
    """Return the completion file for zsh, which belongs in a directory of `fpath`."""
    scan = _scan(commands, words="words", first=2, current="CURRENT")
    rows = "\n".join(f"                {_quoted(f'{one.entry.name}:{one.entry.help}')}" for one in commands)
    return _ZSH.format(notice=_NOTICE, namesfirst=_NAMES_FIRST, scan=scan, commands=rows)


def fish(commands: Sequence[Described]) -> str:
    """Return the completion file for fish."""
    lines = [f"complete -c cstore -n __cstore_is -a {one.entry.name} -d {_quoted(one.entry.help)}" for one in commands]
    lines += [f"complete -c cstore{_fish_option(option)}" for option in global_options()]
    for one in commands:
        here = f"complete -c cstore -n '__cstore_is {' '.join((one.entry.name, *one.entry.aliases))}'"
        lines += [here + _fish_option(option) for option in one.options]
        kind = _kind(one)
        if _data(one):
            lines.append(f"{here[:-1]}; and __cstore_first >/dev/null' -k -a '(__cstore_data {_data(one)})'")
            here = f"{here[:-1]}; and not __cstore_first >/dev/null'"
        if kind == "files":
            lines.append(f"{here} -F")
        elif kind.startswith("="):
            lines.append(f"{here} -a '{kind[1:]}'")
        elif kind != "nothing":
            lines.append(f"{here} -k -a '(__cstore_items {kind})'")
    valued = " ".join(_spellings(option for option in global_options() if not option.is_flag))
    return _FISH.format(notice=_NOTICE, namesfirst=_NAMES_FIRST, valued=valued, lines="\n".join(lines))


SCRIPTS = {"bash": bash, "zsh": zsh, "fish": fish}
"""The function that generates the file for each shell."""


def _fish_option(option: click.Option) -> str:
    short = "".join(f" -s {name[1:]}" for name in option.opts if not name.startswith("--"))
    long = "".join(f" -l {name[2:]}" for name in option.opts if name.startswith("--"))
    if option.is_flag:
        value = ""
    elif option.metavar in _LISTINGS:
        value = f" -x -a '(__cstore_items {_LISTINGS[option.metavar]})'"
    elif choices := _choices(option):
        value = f" -x -a '{' '.join(choices)}'"
    else:
        value = " -r -F" if option.metavar in _FILES else " -x"
    return f"{short}{long}{value} -d {_quoted(option.help or '')}"


def _scan(commands: Sequence[Described], *, words: str, first: int, current: str) -> str:
    """Return the code that bash and zsh share: it finds the command on the line and sets its options and arguments."""
    table = [
        _row("''", [*root.params], "commands"),
        *(
            _row("|".join((one.entry.name, *one.entry.aliases)), one.options, _kind(one), _data(one))
            for one in commands
        ),
    ]
    valued = [option for option in global_options() if not option.is_flag]
    return _SCAN.format(
        words=words,
        first=first,
        current=current,
        valued="|".join(_spellings(valued)),
        table="\n".join(table),
        flags=" ".join(_spellings(global_options())),
        valued_flags=" ".join(_spellings(valued)),
        filed=" ".join(_spellings(option for option in valued if option.metavar in _FILES)),
        listed=_listed(valued),
    )


def _row(pattern: str, params: Iterable[click.Parameter], kind: str, data: str = "") -> str:
    options = [param for param in params if isinstance(param, click.Option) and param not in global_options()]
    valued = [option for option in options if not option.is_flag]
    filed = [option for option in valued if option.metavar in _FILES]
    parts = (("flags", options), ("valued", valued), ("filed", filed))
    said = " ".join(f"{name}=' {' '.join(_spellings(some))} '" for name, some in parts if some)
    listed = _listed(valued)
    said += f" listed='{listed}'" if listed else ""
    said += f" data={data}" if data else ""
    return f"        {pattern}) {said} kind={_quoted(kind) if ' ' in kind or '|' in kind else kind} ;;"


def _listed(options: Iterable[click.Option]) -> str:
    """Return the commands that list the values of each option, or the values themselves after a =."""
    said = ""
    for option in options:
        choices = _choices(option)
        source = f"={' '.join(choices)}" if choices else _LISTINGS.get(option.metavar or "", "")
        said += "".join(f" {name}:{source};" for name in option.opts if source)
    return said


def _choices(option: click.Option) -> tuple[str, ...]:
    """Return the choices of an option; empty if it has none."""
    return option.type.choices if isinstance(option.type, Declared) else ()


def _data(one: Described) -> str:
    """Return the command that lists the second argument if that is a data item of the first one, or ""."""
    return _DATA.get(one.words[0], "") if one.words[1:] == ["NAME"] and "-data" in one.entry.name else ""


def _kind(one: Described) -> str:
    """Return the kind of the arguments: "files", "nothing", the choices after a =, or the commands that list them."""
    shown = [word.removesuffix("...") for word in one.words]
    if _ELSEWHERE.intersection(shown):
        return "files"
    shown += [word.strip("[]") for word in shown]
    listings = next((_LISTINGS[word] for word in shown if word in _LISTINGS), "")
    if shown[:1] == ["bash|zsh|fish"]:
        return f"={shown[0].replace('|', ' ')}"
    return listings or ("files" if _FILES.intersection(shown) else "nothing")


def _spellings(options: Iterable[click.Option]) -> list[str]:
    return [name for option in options for name in option.opts]


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "'\\''") + "'"
