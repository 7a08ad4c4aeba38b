"""What may be built: nodes, and the spaces of the literature as trees with holes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nas.space import Space
from search_spaces.conv_chain import conv_chain
from search_spaces.dartopti import dartopti
from search_spaces.darts import darts
from search_spaces.ddarts import ddarts
from search_spaces.deepmad import deepmad_mobile, deepmad_resnet
from search_spaces.dna import dna
from search_spaces.efficientnet import efficientnet
from search_spaces.enas import enas
from search_spaces.fbnet import fbnet
from search_spaces.hytra import hytra
from search_spaces.mnasnet import mnasnet
from search_spaces.mobile import mobile
from search_spaces.mobilenet import mobilenet
from search_spaces.nasbench101 import nasbench101
from search_spaces.nasbench201 import nasbench201
from search_spaces.nasbench_macro import nasbench_macro
from search_spaces.nasnet import nasnet
from search_spaces.nats_size import nats_size
from search_spaces.ofa import ofa
from search_spaces.pnasnet import pnasnet
from search_spaces.pooling import pooling
from search_spaces.recurrent import recurrent
from search_spaces.regnet import regnet
from search_spaces.resnet import resnet
from search_spaces.resnet50d import resnet50d
from search_spaces.scaled import scaled
from search_spaces.shufflenet import shufflenet
from search_spaces.tabular import tabular
from search_spaces.vit_resnas import vit_resnas

SPACES: Mapping[str, Callable[..., Space]] = {
    "enas": enas,
    "nasnet": nasnet,
    "pnasnet": pnasnet,
    "shufflenet": shufflenet,
    "nats_size": nats_size,
    "nasbench_macro": nasbench_macro,
    "nasbench101": nasbench101,
    "deepmad_mobile": deepmad_mobile,
    "deepmad_resnet": deepmad_resnet,
    "pooling": pooling,
    "resnet": resnet,
    "regnet": regnet,
    "scaled": scaled,
    "resnet50d": resnet50d,
    "dartopti": dartopti,
    "darts": darts,
    "ddarts": ddarts,
    "mobile": mobile,
    "ofa": ofa,
    "fbnet": fbnet,
    "efficientnet": efficientnet,
    "mnasnet": mnasnet,
    "mobilenet": mobilenet,
    "nasbench201": nasbench201,
    "vit_resnas": vit_resnas,
    "hytra": hytra,
    "dna": dna,
    "conv_chain": conv_chain,
    "recurrent": recurrent,
    "tabular": tabular,
}
"""Every space by its name, as a function of its settings; each takes `input` and `classes`."""
