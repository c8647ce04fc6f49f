# bash completion for cstore. Written by cstore.cli.reference from the command tree; change that, not this.

_cstore_items() {
    local listing
    for listing in $1; do command cstore "${@:2}" "$listing" 2>/dev/null; done | sed -n 's/^\tname: //p; /^\t/!p'
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
        create-layer|createlayer) flags=' -n --name -i --id -l --label -r --readonly --hostuidmap --hostgidmap --uidmap --gidmap --subuidmap --subgidmap -j --json --help -h' valued=' -n --name -i --id -l --label --uidmap --gidmap --subuidmap --subgidmap' kind=layers ;;
        import-layer|importlayer) flags=' -n --name -i --id -l --label -r --readonly --hostuidmap --hostgidmap --uidmap --gidmap --subuidmap --subgidmap -f --file -q --quiet -j --json --help -h' valued=' -n --name -i --id -l --label --uidmap --gidmap --subuidmap --subgidmap -f --file' filed=' -f --file' kind=layers ;;
        layers) flags=' -t --tree -q --quick --quiet -j --json --help -h' kind=nothing ;;
        layer) flags=' -j --json --help -h' kind=layers ;;
        delete-layer|deletelayer) flags=' -j --json --help -h' kind=layers ;;
        create-storage-layer) flags=' -i --id -l --label -r --readonly --hostuidmap --hostgidmap --uidmap --gidmap --subuidmap --subgidmap -j --json --help -h' valued=' -i --id -l --label --uidmap --gidmap --subuidmap --subgidmap' kind=layers ;;
        storage-layers) flags=' -j --json --help -h' kind=nothing ;;
        layer-parent-owners) flags=' -j --json --help -h' kind=layers ;;
        changes) flags=' -j --json --help -h' kind=layers ;;
        diff) flags=' -f --file -u --uncompressed -c --gzip --zstd -b --bzip2 --bz2 -x --xz -q --quiet --help -h' valued=' -f --file' filed=' -f --file' kind=layers ;;
        diffsize|diff-size) flags=' --help -h' kind=layers ;;
        applydiff|apply-diff) flags=' -f --file -q --quiet --help -h' valued=' -f --file' filed=' -f --file' kind=layers ;;
        mount) flags=' -l --label -o --opt -j --json --help -h' valued=' -l --label -o --opt' kind='layers images containers' ;;
        unmount|umount) flags=' -f --force -j --json --help -h' kind='layers images containers' ;;
        mounted) flags=' -j --json --help -h' kind='layers images containers' ;;
        exists) flags=' -q --quiet -l --layer -i --image -c --container -j --json --help -h' kind='layers images containers' ;;
        get-names|getnames) flags=' -j --json --help -h' kind='layers images containers' ;;
        set-names|setnames) flags=' -n --name -j --json --help -h' valued=' -n --name' kind='layers images containers' ;;
        add-names|addnames) flags=' -n --name -j --json --help -h' valued=' -n --name' kind='layers images containers' ;;
        remove-names|removenames) flags=' -n --name -j --json --help -h' valued=' -n --name' kind='layers images containers' ;;
        metadata) flags=' -q --quiet -j --json --help -h' kind='layers images containers' ;;
        set-metadata|setmetadata) flags=' -m --metadata -f --metadata-file --help -h' valued=' -m --metadata -f --metadata-file' filed=' -f --metadata-file' kind='layers images containers' ;;
        list-layer-data|listlayerdata) flags=' -j --json --help -h' kind=layers ;;
        get-layer-data|getlayerdata) flags=' -f --file --help -h' valued=' -f --file' filed=' -f --file' kind=layers ;;
        set-layer-data|setlayerdata) flags=' -f --file --help -h' valued=' -f --file' filed=' -f --file' kind=layers ;;
        delete) flags=' -j --json --help -h' kind='layers images containers' ;;
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
        files)
            while IFS= read -r item; do COMPREPLY+=("$item"); done < <(compgen -f -- "$word")
            compopt -o filenames 2>/dev/null
            ;;
        nothing) ;;
        *)
            # compgen -W would expand the names, and anybody may have named an item.
            while IFS= read -r item; do
                [[ $item == "$word"* ]] && COMPREPLY+=("$(printf %q "$item")")
            done < <(_cstore_items "$kind" "${globals[@]}")
            ;;
    esac
}

complete -F _cstore cstore
