# bash completion for cstore. Written by cstore.cli.reference from the command tree; change that, not this.

_cstore_items() {
    command cstore "$@" layers 2>/dev/null | sed -n 's/^\t*name: //p; /^\t/!p'
}

_cstore() {
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local command='' flags='' valued='' filed='' kind=commands word_is_value='' i item
    local -a globals=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            -g|--graph|-R|--run|--image-store|-s|--storage-driver|--storage-opt|--lock-timeout) globals+=("${COMP_WORDS[i]}" "${COMP_WORDS[++i]}") ;;
            -*) ;;
            *) command=${COMP_WORDS[i]}; break ;;
        esac
    done
    case $command in
        '') flags=' --version' kind=commands ;;
        create-layer|createlayer) flags=' -n --name -i --id -l --label -r --readonly --hostuidmap --hostgidmap --uidmap --gidmap --subuidmap --subgidmap -j --json --help -h' valued=' -n --name -i --id -l --label --uidmap --gidmap --subuidmap --subgidmap' kind=items ;;
        import-layer|importlayer) flags=' -n --name -i --id -l --label -r --readonly --hostuidmap --hostgidmap --uidmap --gidmap --subuidmap --subgidmap -f --file -q --quiet -j --json --help -h' valued=' -n --name -i --id -l --label --uidmap --gidmap --subuidmap --subgidmap -f --file' filed=' -f --file' kind=items ;;
        layers) flags=' -t --tree -q --quick --quiet -j --json --help -h' kind=nothing ;;
        layer) flags=' -j --json --help -h' kind=items ;;
        delete-layer|deletelayer) flags=' -j --json --help -h' kind=items ;;
        create-storage-layer) flags=' -i --id -l --label -r --readonly --hostuidmap --hostgidmap --uidmap --gidmap --subuidmap --subgidmap -j --json --help -h' valued=' -i --id -l --label --uidmap --gidmap --subuidmap --subgidmap' kind=items ;;
        storage-layers) flags=' -j --json --help -h' kind=nothing ;;
        layer-parent-owners) flags=' -j --json --help -h' kind=items ;;
        changes) flags=' -j --json --help -h' kind=items ;;
        diff) flags=' -f --file -u --uncompressed -c --gzip --zstd -b --bzip2 --bz2 -x --xz -q --quiet --help -h' valued=' -f --file' filed=' -f --file' kind=items ;;
        diffsize|diff-size) flags=' --help -h' kind=items ;;
        applydiff|apply-diff) flags=' -f --file -q --quiet --help -h' valued=' -f --file' filed=' -f --file' kind=items ;;
        mount) flags=' -l --label -o --opt -j --json --help -h' valued=' -l --label -o --opt' kind=items ;;
        unmount|umount) flags=' -f --force -j --json --help -h' kind=items ;;
        mounted) flags=' -j --json --help -h' kind=items ;;
        exists) flags=' -q --quiet -l --layer -i --image -c --container -j --json --help -h' kind=items ;;
        get-names|getnames) flags=' -j --json --help -h' kind=items ;;
        set-names|setnames) flags=' -n --name -j --json --help -h' valued=' -n --name' kind=items ;;
        add-names|addnames) flags=' -n --name -j --json --help -h' valued=' -n --name' kind=items ;;
        remove-names|removenames) flags=' -n --name -j --json --help -h' valued=' -n --name' kind=items ;;
        metadata) flags=' -q --quiet -j --json --help -h' kind=items ;;
        set-metadata|setmetadata) flags=' -m --metadata -f --metadata-file --help -h' valued=' -m --metadata -f --metadata-file' filed=' -f --metadata-file' kind=items ;;
        list-layer-data|listlayerdata) flags=' -j --json --help -h' kind=items ;;
        get-layer-data|getlayerdata) flags=' -f --file --help -h' valued=' -f --file' filed=' -f --file' kind=items ;;
        set-layer-data|setlayerdata) flags=' -f --file --help -h' valued=' -f --file' filed=' -f --file' kind=items ;;
        delete) flags=' -j --json --help -h' kind=items ;;
        gc) flags=' --dry-run -v --verbose -q --quiet -j --json --help -h' kind=nothing ;;
        wipe) flags=' -j --json --help -h' kind=nothing ;;
        shutdown) flags=' -f --force -j --json --help -h' kind=nothing ;;
        status) flags=' -j --json --help -h' kind=nothing ;;
        config) flags=' --help -h' kind=files ;;
        version) flags=' -j --json --help -h' kind=nothing ;;
    esac
    flags+=' -g --graph -R --run --image-store --transient-store -s --storage-driver --storage-opt --no-sync --lock-timeout -U --unshare -D --debug' valued+=' -g --graph -R --run --image-store -s --storage-driver --storage-opt --lock-timeout ' filed+=' -g --graph -R --run --image-store '
    if [[ $filed == *" $previous "* ]]; then kind=files word_is_value=1
    elif [[ $valued == *" $previous "* ]]; then kind=nothing word_is_value=1
    fi
    COMPREPLY=()
    if [[ -z $word_is_value && $word == -* ]]; then
        COMPREPLY=($(compgen -W "$flags" -- "$word"))
        return
    fi
    case $kind in
        commands) COMPREPLY=($(compgen -W 'create-layer import-layer layers layer delete-layer create-storage-layer storage-layers layer-parent-owners changes diff diffsize applydiff mount unmount mounted exists get-names set-names add-names remove-names metadata set-metadata list-layer-data get-layer-data set-layer-data delete gc wipe shutdown status config version' -- "$word")) ;;
        items)
            # compgen -W would expand the names, and anybody may have named an item.
            while IFS= read -r item; do
                [[ $item == "$word"* ]] && COMPREPLY+=("$(printf %q "$item")")
            done < <(_cstore_items "${globals[@]}")
            ;;
        files)
            while IFS= read -r item; do COMPREPLY+=("$item"); done < <(compgen -f -- "$word")
            compopt -o filenames 2>/dev/null
            ;;
    esac
}

complete -F _cstore cstore
