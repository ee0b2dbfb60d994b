"""Two-stage detectors in plain PyTorch, for inference: what ViTDet and the RegNetY Mask R-CNN have in common.

A backbone gives feature maps, a small head on them proposes boxes, and one or more heads judge and move each box
(Faster R-CNN, Ren et al. 2015; feature pyramids, Lin et al. 2017; RoIAlign, He et al. 2017; the cascade of heads, Cai &
Vasconcelos 2018). Everything is float32 unless `precision.set_precision` lowers it; what is chosen by comparing numbers
always is. Boxes are xyxy, in pixels of the network's input unless a name says otherwise.
"""
