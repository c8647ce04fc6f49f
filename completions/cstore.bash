# bash completion for cstore. Written by cstore.cli.reference from the command tree; change that, not this.

_cstore_items() {
    local listing
    for listing in $1; do
        command cstore "${@:2}" ${listing//+/ } ${behind[@]+"${behind[@]}"} 2>/dev/null
    done | sed -n '/^\t/!H; s/^\tname: //p; ${x; s/^\n//p}'
}

_cstore() {
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local command='' flags='' valued='' filed='' listed='' kind=commands data='' word_is_value='' i item
    local -a globals=() behind=()
    # "=" breaks words, so --name=value comes as three.
    if [[ $previous == = ]]; then previous=${COMP_WORDS[COMP_CWORD - 2]}
    elif [[ $word == = ]]; then word=''
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            -g|--graph|-R|--run|--image-store|-s|--storage-driver|--storage-opt|--lock-timeout|--config|--progress)
                globals+=("${COMP_WORDS[i]}")
                [[ ${COMP_WORDS[i + 1]} == = ]] && ((i++))
                globals+=("${COMP_WORDS[++i]}")
                ;;
            --*=*) globals+=("${COMP_WORDS[i]}") ;;
            -*) ;;
            *) command=${COMP_WORDS[i]}; break ;;
        esac
    done
    case $command in
        '') flags=' --version ' kind=commands ;;
        create-layer|createlayer) flags=' -n --name -i --id -l --label -r --readonly --hostuidmap --hostgidmap --uidmap --gidmap --subuidmap --subgidmap -j --json --help -h ' valued=' -n --name -i --id -l --label --uidmap --gidmap --subuidmap --subgidmap ' kind=layers ;;
        import-layer|importlayer) flags=' -n --name -i --id -l --label -r --readonly --hostuidmap --hostgidmap --uidmap --gidmap --subuidmap --subgidmap -f --file --expect --reuse --id-only -q --quiet -j --json --help -h ' valued=' -n --name -i --id -l --label --uidmap --gidmap --subuidmap --subgidmap -f --file --expect ' filed=' -f --file ' kind=layers ;;
        layers) flags=' -t --tree -q --quick --quiet --digest --sort --filter --columns --no-trunc -j --json --help -h ' valued=' --digest --sort --filter --columns ' kind=nothing ;;
        layer) flags=' -j --json --help -h ' kind=layers ;;
        delete-layer|deletelayer) flags=' -j --json --help -h ' kind=layers ;;
        create-storage-layer) flags=' -i --id -l --label -r --readonly --hostuidmap --hostgidmap --uidmap --gidmap --subuidmap --subgidmap -j --json --help -h ' valued=' -i --id -l --label --uidmap --gidmap --subuidmap --subgidmap ' kind=layers ;;
        storage-layers) flags=' -j --json --help -h ' kind=nothing ;;
        layer-parent-owners) flags=' -j --json --help -h ' kind=layers ;;
        create-image|createimage) flags=' -i --id -n --name -d --digest -m --metadata -f --metadata-file -j --json --help -h ' valued=' -i --id -n --name -d --digest -m --metadata -f --metadata-file ' filed=' -f --metadata-file ' kind=layers ;;
        import) flags=' -c --change --image-config -m --message --platform --expect -q --quiet -j --json --help -h ' valued=' -c --change --image-config -m --message --platform --expect ' filed=' --image-config ' kind=nothing ;;
        images) flags=' -q --quiet --sort --filter --columns --no-trunc -j --json --help -h ' valued=' --sort --filter --columns ' kind=nothing ;;
        image) flags=' -j --json --help -h ' kind=images ;;
        images-by-digest) flags=' -q --quiet -j --json --help -h ' kind=nothing ;;
        delete-image|deleteimage) flags=' -t --test -j --json --help -h ' kind=images ;;
        get-image-dir|getimagedir) flags=' --help -h ' kind=images ;;
        get-image-run-dir|getimagerundir) flags=' --help -h ' kind=images ;;
        create-container|createcontainer) flags=' -i --id -n --name -m --metadata -f --metadata-file --layer-id --layer-opt --mount-opt --label-opt --volatile --hostuidmap --hostgidmap --uidmap --gidmap --subuidmap --subgidmap -j --json --help -h ' valued=' -i --id -n --name -m --metadata -f --metadata-file --layer-id --layer-opt --mount-opt --label-opt --uidmap --gidmap --subuidmap --subgidmap ' filed=' -f --metadata-file ' listed=' --layer-id:images;' kind=images ;;
        containers) flags=' -q --quiet --sort --filter --columns --no-trunc -j --json --help -h ' valued=' --sort --filter --columns ' kind=nothing ;;
        container) flags=' -j --json --help -h ' kind=containers ;;
        delete-container|deletecontainer) flags=' -j --json --help -h ' kind=containers ;;
        get-container-dir|getcontainerdir) flags=' --help -h ' kind=containers ;;
        get-container-run-dir|getcontainerrundir) flags=' --help -h ' kind=containers ;;
        container-parent-owners) flags=' -j --json --help -h ' kind=containers ;;
        changes) flags=' -0 --null -j --json --help -h ' kind=layers ;;
        diff) flags=' -f --file -u --uncompressed -c --gzip --zstd -b --bzip2 --bz2 -x --xz -q --quiet --help -h ' valued=' -f --file ' filed=' -f --file ' kind=layers ;;
        diffsize|diff-size) flags=' --help -h ' kind=layers ;;
        applydiff|apply-diff) flags=' -f --file -q --quiet --help -h ' valued=' -f --file ' filed=' -f --file ' kind=layers ;;
        applydiff-using-staging-dir) flags=' --help -h ' kind=layers ;;
        copy|cp) flags=' --chown -o --no-verify -q --quiet -j --json --help -h ' valued=' --chown -o ' kind=files ;;
        ls) flags=' -l --long -R --recursive -0 --null --kind -j --json --help -h ' valued=' --kind ' listed=' --kind:=layer image container;' kind='layers images containers' ;;
        cat) flags=' --kind --help -h ' valued=' --kind ' listed=' --kind:=layer image container;' kind='layers images containers' ;;
        stat) flags=' --digest -L --dereference --kind -j --json --help -h ' valued=' --kind ' listed=' --kind:=layer image container;' kind='layers images containers' ;;
        find) flags=' --name --path --type --size --newer --older --owner --mode --digest --setuid --capability --all -0 --null --kind -j --json --help -h ' valued=' --name --path --type --size --newer --older --owner --mode --digest --kind ' listed=' --kind:=layer image container;' kind=nothing ;;
        compare) flags=' --content --times -0 --null --kind -j --json --help -h ' valued=' --kind ' listed=' --kind:=layer image container;' kind='layers images containers' ;;
        blame) flags=' --all --waste -0 --null --kind -j --json --help -h ' valued=' --kind ' listed=' --kind:=layer image container;' kind='layers images containers' ;;
        mount) flags=' -r --read-only --ro -l --label -o --opt -j --json --help -h ' valued=' -l --label -o --opt ' kind='layers images containers' ;;
        unmount|umount) flags=' -f --force -j --json --help -h ' kind='layers images containers' ;;
        mounted) flags=' -j --json --help -h ' kind='layers images containers' ;;
        exists) flags=' -q --quiet -l --layer -i --image -c --container -j --json --help -h ' kind='layers images containers' ;;
        get-names|getnames) flags=' -j --json --help -h ' kind='layers images containers' ;;
        set-names|setnames) flags=' -n --name -j --json --help -h ' valued=' -n --name ' kind='layers images containers' ;;
        add-names|addnames) flags=' -n --name -j --json --help -h ' valued=' -n --name ' kind='layers images containers' ;;
        remove-names|removenames) flags=' -n --name -j --json --help -h ' valued=' -n --name ' kind='layers images containers' ;;
        tag) flags=' --help -h ' kind=images ;;
        untag) flags=' --help -h ' kind=images ;;
        metadata) flags=' -q --quiet -j --json --help -h ' kind='layers images containers' ;;
        set-metadata|setmetadata) flags=' -m --metadata -f --metadata-file --help -h ' valued=' -m --metadata -f --metadata-file ' filed=' -f --metadata-file ' kind='layers images containers' ;;
        list-layer-data|listlayerdata) flags=' -j --json --help -h ' kind=layers ;;
        get-layer-data|getlayerdata) flags=' -f --file --help -h ' valued=' -f --file ' filed=' -f --file ' data=list-layer-data kind=layers ;;
        set-layer-data|setlayerdata) flags=' -f --file --help -h ' valued=' -f --file ' filed=' -f --file ' data=list-layer-data kind=layers ;;
        delete-layer-data) flags=' --help -h ' data=list-layer-data kind=layers ;;
        list-image-data|listimagedata) flags=' -j --json --help -h ' kind=images ;;
        get-image-data|getimagedata) flags=' -f --file --help -h ' valued=' -f --file ' filed=' -f --file ' data=list-image-data kind=images ;;
        get-image-data-size|getimagedatasize) flags=' --help -h ' data=list-image-data kind=images ;;
        get-image-data-digest|getimagedatadigest) flags=' --help -h ' data=list-image-data kind=images ;;
        set-image-data|setimagedata) flags=' -f --file --help -h ' valued=' -f --file ' filed=' -f --file ' data=list-image-data kind=images ;;
        delete-image-data) flags=' --help -h ' data=list-image-data kind=images ;;
        list-container-data|listcontainerdata) flags=' -j --json --help -h ' kind=containers ;;
        get-container-data|getcontainerdata) flags=' -f --file --help -h ' valued=' -f --file ' filed=' -f --file ' data=list-container-data kind=containers ;;
        get-container-data-size|getcontainerdatasize) flags=' --help -h ' data=list-container-data kind=containers ;;
        get-container-data-digest|getcontainerdatadigest) flags=' --help -h ' data=list-container-data kind=containers ;;
        set-container-data|setcontainerdata) flags=' -f --file --help -h ' valued=' -f --file ' filed=' -f --file ' data=list-container-data kind=containers ;;
        delete-container-data) flags=' --help -h ' data=list-container-data kind=containers ;;
        pull) flags=' --platform --all -a --all-tags --dry-run --jobs --limit-rate --memory -q --quiet --creds --signature-policy --authfile --cert-dir --tls-verify -j --json --help -h ' valued=' --platform --jobs --limit-rate --memory --creds --signature-policy --authfile --cert-dir --tls-verify ' filed=' --signature-policy --authfile --cert-dir ' kind=nothing ;;
        push) flags=' --compression --digestfile --dry-run --jobs --limit-rate --memory -q --quiet --creds --signature-policy --authfile --cert-dir --tls-verify -j --json --help -h ' valued=' --compression --digestfile --jobs --limit-rate --memory --creds --signature-policy --authfile --cert-dir --tls-verify ' filed=' --digestfile --signature-policy --authfile --cert-dir ' listed=' --compression:=gzip zstd none;' kind=images ;;
        sync) flags=' --list --platform --scoped --containers --delete --dry-run --jobs --limit-rate --memory -q --quiet --creds --signature-policy --authfile --cert-dir --tls-verify -j --json --help -h ' valued=' --list --platform --jobs --limit-rate --memory --creds --signature-policy --authfile --cert-dir --tls-verify ' filed=' --list --signature-policy --authfile --cert-dir ' kind=nothing ;;
        relocate) flags=' -j --json --help -h ' kind=nothing ;;
        load) flags=' -i --input -n --name -t --tag --platform -a --all --format --podman-names -q --quiet -j --json --help -h ' valued=' -i --input -n --name -t --tag --platform --format ' filed=' -i --input ' listed=' --format:=docker oci;' kind=files ;;
        save) flags=' -o --output --format --compress -q --quiet --help -h ' valued=' -o --output --format --compress ' filed=' -o --output ' listed=' --format:=docker-archive oci-archive oci-dir; --compress:=gzip zstd none;' kind=images ;;
        copy-image) flags=' --platform -a --all --compression --dry-run --jobs --limit-rate --memory -q --quiet --creds --signature-policy --authfile --cert-dir --tls-verify -j --json --help -h ' valued=' --platform --compression --jobs --limit-rate --memory --creds --signature-policy --authfile --cert-dir --tls-verify ' filed=' --signature-policy --authfile --cert-dir ' listed=' --compression:=gzip zstd none;' kind=nothing ;;
        docker-images) flags=' --docker-driver -j --json --help -h ' valued=' --docker-driver ' kind=files ;;
        docker-layers) flags=' --docker-driver -j --json --help -h ' valued=' --docker-driver ' kind=files ;;
        docker-containers) flags=' --docker-driver -j --json --help -h ' valued=' --docker-driver ' kind=files ;;
        docker-import) flags=' --docker-driver -a --all --notes --podman-names -q --quiet -j --json --help -h ' valued=' --docker-driver ' kind=files ;;
        docker-export) flags=' --docker-driver -f --file -q --quiet --help -h ' valued=' --docker-driver -f --file ' filed=' -f --file ' kind=files ;;
        login) flags=' -u --username -p --password --password-stdin --get-login -v --verbose --authfile --cert-dir --tls-verify -j --json --help -h ' valued=' -u --username -p --password --authfile --cert-dir --tls-verify ' filed=' --authfile --cert-dir ' kind=nothing ;;
        logout) flags=' -a --all --authfile -j --json --help -h ' valued=' --authfile ' filed=' --authfile ' kind=nothing ;;
        tags|list-tags) flags=' --authfile --cert-dir --tls-verify -j --json --help -h ' valued=' --authfile --cert-dir --tls-verify ' filed=' --authfile --cert-dir ' kind=nothing ;;
        register) flags=' -f --file --max-depth -q --quiet -j --json --help -h ' valued=' -f --file --max-depth ' filed=' -f --file ' kind=layers ;;
        chains) flags=' --size -j --json --help -h ' kind=layers ;;
        export-chain) flags=' --from --whole -f --file -q --quiet --help -h ' valued=' --from -f --file ' filed=' -f --file ' kind=layers ;;
        release) flags=' -y --yes -j --json --help -h ' kind=layers ;;
        create-writable) flags=' -l --label --size --init -j --json --help -h ' valued=' -l --label --size ' kind=layers ;;
        writables) flags=' -j --json --help -h ' kind=nothing ;;
        commit) flags=' -n --name --author --comment -j --json --help -h ' valued=' -n --name --author --comment ' kind=images ;;
        delete-writable) flags=' -y --yes -j --json --help -h ' kind=nothing ;;
        register-image) flags=' -f --file -n --name --parent --built-locally -j --json --help -h ' valued=' -f --file -n --name --parent ' filed=' -f --file ' listed=' --parent:images;' kind=nothing ;;
        release-image) flags=' -y --yes -j --json --help -h ' kind=images ;;
        lineage) flags=' --set-parent --set-updated --set-built -j --json --help -h ' valued=' --set-parent ' listed=' --set-parent:images;' kind=images ;;
        search) flags=' -j --json --help -h ' kind=images ;;
        children) flags=' -j --json --help -h ' kind=images ;;
        heads) flags=' -j --json --help -h ' kind=nothing ;;
        history) flags=' -j --json --help -h ' kind=images ;;
        inspect) flags=' --size --kind --platform --creds --signature-policy --authfile --cert-dir --tls-verify -j --json --help -h ' valued=' --kind --platform --creds --signature-policy --authfile --cert-dir --tls-verify ' filed=' --signature-policy --authfile --cert-dir ' listed=' --kind:=layer image container;' kind='layers images containers' ;;
        df) flags=' -v --verbose --freed-by --kind -j --json --help -h ' valued=' --kind ' listed=' --kind:=layer image container;' kind='layers images containers' ;;
        why) flags=' --kind -j --json --help -h ' valued=' --kind ' listed=' --kind:=layer image container;' kind='layers images containers' ;;
        whois) flags=' -j --json --help -h ' kind=nothing ;;
        rm) flags=' --dry-run -f --force -y --yes --keep --kind -j --json --help -h ' valued=' --keep --kind ' listed=' --kind:=layer image container;' kind='layers images containers' ;;
        prune) flags=' --dry-run -a --unused --dangling --older-than --unused-for --keep --keep-last --max-size --policy --free -y --yes -j --json --help -h ' valued=' --older-than --unused-for --keep --keep-last --max-size --policy --free ' filed=' --policy ' kind=nothing ;;
        check) flags=' -q --quick -r --repair -f --force -m --max --layer --image --max-duration --require-store --format -j --json --help -h ' valued=' -m --max --layer --image --max-duration --format ' listed=' --layer:layers; --image:images; --format:=text json;' kind=nothing ;;
        repair) flags=' --dry-run -y --yes --from --name --remove --list --undo --search-time --format --authfile --cert-dir --tls-verify -j --json --help -h ' valued=' --from --name --undo --search-time --format --authfile --cert-dir --tls-verify ' filed=' --from --authfile --cert-dir ' listed=' --undo:repair+--list; --format:=text json;' kind=nothing ;;
        gc) flags=' --dry-run -v --verbose -q --quiet --foreign --partial --quarantine -y --yes -j --json --help -h ' valued=' --quarantine ' kind=nothing ;;
        status) flags=' -j --json --help -h ' kind=nothing ;;
        browse) flags=' --help -h ' kind=nothing ;;
        report) flags=' -o --output -q --quick --check --help -h ' valued=' -o --output ' filed=' -o --output ' kind=nothing ;;
        doctor) flags=' --format -j --json --help -h ' valued=' --format ' listed=' --format:=text json prometheus;' kind=nothing ;;
        config) flags=' --sources --format --system --user --main -j --json --help -h ' valued=' --format ' listed=' --format:=1.63 1.60;' kind=nothing ;;
        dedup) flags=' --hash-method --dry-run -v --verbose -q --quiet -j --json --help -h ' valued=' --hash-method ' kind=nothing ;;
        delete) flags=' -j --json --help -h ' kind='layers images containers' ;;
        wipe) flags=' -j --json --help -h ' kind=nothing ;;
        shutdown) flags=' -f --force -j --json --help -h ' kind=nothing ;;
        unshare) flags=' --help -h ' kind=nothing ;;
        batch) flags=' -k --keep-going --jobs -j --json --help -h ' valued=' --jobs ' kind=nothing ;;
        completion) flags=' --help -h ' kind='=bash zsh fish' ;;
        version) flags=' -j --json --help -h ' kind=nothing ;;
    esac
    if [[ -n $data ]]; then
        for ((i++; i < COMP_CWORD; i++)); do
            case ${COMP_WORDS[i]} in
                '=') ((i++)) ;;
                -*)
                    [[ " $valued -g --graph -R --run --image-store -s --storage-driver --storage-opt --lock-timeout --config --progress " == *" ${COMP_WORDS[i]} "* ]] || continue
                    [[ ${COMP_WORDS[i + 1]} == '=' ]] || ((i++))
                    ;;
                *) behind=("${COMP_WORDS[i]}") kind=$data; break ;;
            esac
        done
    fi
    flags+=' -g --graph -R --run --image-store --transient-store -s --storage-driver --storage-opt --no-sync --lock-timeout -U --unshare --config --raw --progress -D --debug' valued+=' -g --graph -R --run --image-store -s --storage-driver --storage-opt --lock-timeout --config --progress ' filed+=' -g --graph -R --run --image-store --config ' listed+=' --progress:=auto plain json none;'
    if [[ $listed == *" $previous:"* ]]; then
        kind=${listed#*" $previous:"} kind=${kind%%;*} word_is_value=1 behind=()
    elif [[ $filed == *" $previous "* ]]; then kind=files word_is_value=1
    elif [[ $valued == *" $previous "* ]]; then kind=nothing word_is_value=1
    fi
    COMPREPLY=()
    if [[ -z $word_is_value && $word == -* ]]; then
        COMPREPLY=($(compgen -W "$flags" -- "$word"))
        return
    fi
    case $kind in
        commands) COMPREPLY=($(compgen -W 'create-layer import-layer layers layer delete-layer create-storage-layer storage-layers layer-parent-owners create-image import images image images-by-digest delete-image get-image-dir get-image-run-dir create-container containers container delete-container get-container-dir get-container-run-dir container-parent-owners changes diff diffsize applydiff applydiff-using-staging-dir copy ls cat stat find compare blame mount unmount mounted exists get-names set-names add-names remove-names tag untag metadata set-metadata list-layer-data get-layer-data set-layer-data delete-layer-data list-image-data get-image-data get-image-data-size get-image-data-digest set-image-data delete-image-data list-container-data get-container-data get-container-data-size get-container-data-digest set-container-data delete-container-data pull push sync relocate load save copy-image docker-images docker-layers docker-containers docker-import docker-export login logout tags register chains export-chain release create-writable writables commit delete-writable register-image release-image lineage search children heads history inspect df why whois rm prune check repair gc status browse report doctor config dedup delete wipe shutdown unshare batch completion version' -- "$word")) ;;
        files)
            while IFS= read -r item; do COMPREPLY+=("$item"); done < <(compgen -f -- "$word")
            compopt -o filenames 2>/dev/null
            ;;
        nothing) ;;
        '='*) COMPREPLY=($(compgen -W "${kind#=}" -- "$word")) ;;
        *)
            compopt -o nosort 2>/dev/null
            # compgen -W would expand the names, and anybody may have named an item.
            while IFS= read -r item; do
                [[ $item == "$word"* ]] && COMPREPLY+=("$(printf %q "$item")")
            done < <(_cstore_items "$kind" "${globals[@]}")
            ;;
    esac
}

complete -F _cstore cstore
